#!/usr/bin/env bash
# The second opinion: runs scenarios, plans and a family of random plans, and recomputes what each run says from its
# records alone. Takes the runner's binary as RUNNER= (default target/release/runner); builds nothing. `--long` runs
# more of the family, `--only WORDS` those whose name has them, `--keep FOLDER` keeps the runs.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PYTHONDONTWRITEBYTECODE=1
exec python3 "$here/drive.py" --runner "${RUNNER:-$here/../../target/release/runner}" "$@"
