//! The full screen gives the terminal back, however the run ends. A pseudo-terminal of python3 stands
//! in for a person's.

use std::fs;
use std::process::Stdio;

use crate::sandbox::Sandbox;

const PLAN: &str = "\
version: 1
name: screen
endpoint: { simulator: { prefill_rate: 50k, decode_rate: 200 } }
seed: 7
prompt: { text: Say hello., max_tokens: 8 }
stages:
  - { id: load, kind: load, rate: 20, duration: 8s }
";

/// Runs a command on a pseudo-terminal of 100 by 30; once its screen shows the stage, sends it the
/// signal named first (0 for none), prints all that came, then its exit code.
const SCRIPT: &str = r#"
import os, pty, select, signal, struct, sys, fcntl, termios, time
sign, command = int(sys.argv[1]), sys.argv[2:]
pid, terminal = pty.fork()
if pid == 0:
    # Whoever runs the tests may ignore it, as nohup does.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    os.execv(command[0], command)
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
seen, sent, deadline = b"", False, time.monotonic() + 120
while time.monotonic() < deadline:
    try:
        chunk = os.read(terminal, 65536) if select.select([terminal], [], [], 1)[0] else None
    except OSError:
        break
    if chunk == b"":
        break
    seen += chunk or b""
    if sign and not sent and b"load" in seen and b"req/s" in seen:
        os.kill(pid, sign)
        sent = True
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
sys.stdout.buffer.write(seen + b"\nEXIT %d\n" % code)
"#;

/// Everything a run wrote to its terminal, and its exit code; `None` where there is no python3.
fn on_a_terminal(plan: &str, signal: i32, args: &[&str]) -> Option<(String, String)> {
    let sandbox = Sandbox::new();
    sandbox.plan(plan);
    let script = sandbox.dir.path().join("terminal.py");
    fs::write(&script, SCRIPT).expect("written");
    let mut command = std::process::Command::new("python3");
    command.current_dir(sandbox.dir.path()).arg(&script).arg(signal.to_string());
    command.arg(env!("CARGO_BIN_EXE_runner")).args(["run", "plan.yaml"]).args(args);
    match command.stdin(Stdio::null()).stderr(Stdio::inherit()).output() {
        Ok(output) => {
            let seen = String::from_utf8_lossy(&output.stdout).into_owned();
            let (screen, code) = seen.rsplit_once("\nEXIT ").expect("an exit code");
            Some((screen.to_owned(), code.trim().to_owned()))
        }
        Err(error) => {
            eprintln!("skipped: python3 is needed for a pseudo-terminal ({error})");
            None
        }
    }
}

const ENTER: &str = "\u{1b}[?1049h";
const LEAVE: &str = "\u{1b}[?1049l";
const CURSOR: &str = "\u{1b}[?25h";

#[test]
fn the_full_screen_gives_the_terminal_back_after_a_run_and_after_signals() {
    // None, SIGHUP, SIGINT, SIGTERM.
    for (signal, expected) in [(0, "0"), (1, "129"), (2, "130"), (15, "143")] {
        let Some((screen, code)) = on_a_terminal(PLAN, signal, &["--tui"]) else { return };
        assert_eq!(code, expected, "{screen}");
        let enter = screen.find(ENTER).expect("the other screen");
        let leave = screen.rfind(LEAVE).expect("given back");
        assert!(enter < leave && screen[enter..leave].contains(CURSOR), "signal {signal}");
        let after = &screen[leave..];
        assert!(!after.contains(ENTER) && !after.contains("\u{1b}[?25l"), "signal {signal}");
        // The report follows on the first screen, where it stays.
        assert!(after.contains("run 20") && after.contains("load"), "signal {signal}: {after}");
    }
}

#[test]
fn the_live_line_is_gone_when_the_report_comes() {
    let Some((screen, code)) = on_a_terminal(PLAN, 0, &[]) else { return };
    assert_eq!(code, "0", "{screen}");
    assert!(screen.contains("req/s") && screen.contains("in flight"), "{screen}");
    let ended = screen.rfind("  done  load").expect("the line that stays");
    assert!(!screen[ended..].contains("(left"), "{screen}");
}

#[test]
fn the_spinner_stands_still_once_the_first_token_is_there() {
    let plan = "
version: 1
endpoint: { simulator: { prefill_rate: 300, decode_rate: 10 } }
prompt: { context: { from: filler, tokens: 300 }, text: Go., max_tokens: 12 }
stages: [ { id: slow, kind: cold, requests: 1 } ]
";
    let Some((screen, code)) = on_a_terminal(plan, 0, &[]) else { return };
    assert_eq!(code, "0", "{screen}");
    assert!(!screen.contains("(left"), "of one request nobody knows what is left: {screen}");
    let spinners = |text: &str| -> Vec<char> {
        text.chars().filter(|letter| ('\u{2800}'..='\u{28ff}').contains(letter)).collect()
    };
    let came = "1 in flight, first token after ";
    let (waiting, rest) = screen.split_once(came).expect("a first token");
    let turns: std::collections::BTreeSet<char> = spinners(waiting).into_iter().collect();
    assert!(turns.len() > 1, "it turns while nothing comes: {waiting}");
    // Each later picture of the answer under way has the spinner as it was.
    let (answering, _) = rest.rsplit_once(came).expect("it is drawn again while it streams");
    let still: std::collections::BTreeSet<char> = spinners(answering).into_iter().collect();
    assert_eq!(still.len(), 1, "{still:?} {rest}");
    assert_eq!(still.first(), spinners(waiting).last(), "{rest}");
}
