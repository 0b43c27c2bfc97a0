//! `runner man DIR`.

use std::fs;

use clap::CommandFactory;

use crate::cli::{Cli, ManArgs};
use crate::output::note;

/// Writes `runner.1` and a page for each command to a folder, which is made if it is not there.
pub fn run(args: &ManArgs) -> anyhow::Result<u8> {
    let pages = || clap_mangen::generate_to(Cli::command(), &args.folder);
    if let Err(error) = fs::create_dir_all(&args.folder).and_then(|()| pages()) {
        note!("error: man pages can't be written to {}: {error}", args.folder.display());
        return Ok(super::USAGE);
    }
    Ok(super::PASS)
}
