//! Floor 0: plan text → checked [`Plan`].
//!
//! In: a YAML or TOML file, params, the environment. Out: a [`Plan`] in which nothing is left to
//! parse or to default, or diagnostics with file, line and column. Nothing after this floor reads
//! plan text.
//!
//! | step | file | what it turns into what |
//! |---|---|---|
//! | 1 | `source`, `compose` | texts → one spanned tree, YAML and TOML alike |
//! | 2 | `params` | declarations, `--param`, files, environment → typed values |
//! | 3 | `matrix` | axes → cells; each cell goes through what follows |
//! | 4 | `interpolate` | `${…}` on the tree's texts → values |
//! | 5 | `compose::defaults` | `defaults` and `prompts` → the stages that use them |
//! | 6 | `bind`, `file` | tree → written plan, every problem collected |
//! | 7 | `lower`, `threshold` | written plan → [`Plan`], names checked, defaults filled in |
//! | 8 | `select` | stages → those the command line asks for |

mod bind;
mod compose;
pub mod diagnostic;
mod file;
mod interpolate;
mod load;
mod lower;
mod matrix;
pub mod metric;
mod model;
pub mod params;
pub mod printable;
mod redact;
pub mod schema;
mod select;
mod source;
pub(crate) mod suggest;
mod test_file;
mod threshold;
mod toml_text;
pub mod units;

pub use load::{LoadError, LoadOptions, Loaded, load, load_text};
pub use lower::sinks_of_options;
pub use model::*;
pub use redact::Redactor;
pub use source::Sources;
pub use test_file::{ENDINGS, Expect, TestCase, TestFile, load_tests};
pub use toml_text::to_toml;
