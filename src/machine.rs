//! What this process takes of its machine.
//!
//! In: nothing. Out: CPU time, limits (open files, ports, room on a disk), threads that come second, and how
//! late it lets us see what has arrived. Invariant: where the system does not say, there is no figure; nothing here can fail a run.

mod wakes;

use std::path::Path;
use std::time::Duration;

pub use self::wakes::{Reading, Wakes};

/// CPU time of the whole process so far, on all cores.
#[cfg(unix)]
pub fn cpu_time() -> Option<Duration> {
    use rustix::time::{ClockId, clock_gettime};
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).ok()
}

/// CPU time of the whole process so far; nobody to ask here.
#[cfg(not(unix))]
pub fn cpu_time() -> Option<Duration> {
    None
}

/// Lets this process open as many files as it may: each stream is one, and the usual soft limit
/// of 1,024 is there for programs that use `select`.
#[cfg(unix)]
pub fn raise_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current < limit.maximum || limit.maximum.is_none() {
        limit.current = limit.maximum;
        // Refused on systems that have a lower bound of their own; requests then say `fd_limit`.
        let _as_it_was = setrlimit(Resource::Nofile, limit);
    }
}

/// Lets this process open as many files as it may: here it always can.
#[cfg(not(unix))]
pub fn raise_open_files() {}

/// Open files that this process may have; `None` without a limit.
#[cfg(unix)]
pub fn open_files() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

/// Open files that this process may have; nobody to ask here.
#[cfg(not(unix))]
pub fn open_files() -> Option<u64> {
    None
}

/// Bytes that are free, for this user, where `folder` is.
#[cfg(unix)]
pub fn free_space(folder: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(folder).ok()?;
    found.f_bavail.checked_mul(found.f_frsize)
}

/// Bytes that are free where a folder is; nobody to ask here.
#[cfg(not(unix))]
pub fn free_space(_folder: &Path) -> Option<u64> {
    None
}

/// Ports that connections to one address can begin from, where the system says.
pub fn local_ports() -> Option<u64> {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    let mut ends = range.split_whitespace().map(str::parse::<u64>);
    let (first, last) = (ends.next()?.ok()?, ends.next()?.ok()?);
    (last + 1).checked_sub(first)
}

/// Lets the calling thread come second where threads outnumber cores: one that stamps what arrives
/// must not wait for one that writes what arrived before. Elsewhere than on Linux, where a nice value
/// would be the whole process's, nothing happens.
pub fn come_second() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{getpriority_process, setpriority_process};
        /// A third of the weight of a thread without it; 19 is the end of the scale.
        const NICE: i32 = 5;
        let own = getpriority_process(None).unwrap_or(0);
        let _as_it_was = setpriority_process(None, (own + NICE).min(19));
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn work_takes_cpu_time() {
        let before = cpu_time().expect("a clock");
        let mut sum = 0_u64;
        while cpu_time().expect("a clock") < before + Duration::from_millis(1) {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(sum > 0);
    }
}
