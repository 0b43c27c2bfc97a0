//! Floor 3: numbers → something to read.
//!
//! In: a [`Summary`](crate::metrics::summary::Summary) and, for pages and pictures, the lines behind
//! it in one pass. Out: text, pages, pictures. Invariants: a report computes no figure that a summary
//! holds; memory is bounded whatever the number of requests; whatever came from a server or a plan
//! is escaped; figures from the embedded simulator are marked *simulated* before any is shown, and those
//! of an endpoint whose certificate nobody checked *insecure*.
//!
//! | file | what it turns into what |
//! |---|---|
//! | [`console`], [`look`] and the files behind it | summary → text for a terminal |
//! | [`samples`], [`timeline`], [`reservoir`] | lines → samples, bounded |
//! | [`view`] and the files behind it | all of it → one [`view::ReportView`]: verdict, story, tables, charts |
//! | [`chart`], [`ticks`], [`draw`], [`scene`], [`palette`] | series and axes → lines, dots and text |
//! | [`sheet`], [`svg`], `png` | the view → one sheet of charts; a scene → a file |
//! | [`html`], [`markdown`] | the view → a page |
//! | [`definitions`], [`history`] | figures under other tools' names, figures over runs → text |
//! | [`compare`] and the files behind it | runs against each other → text, markdown, a page |
//! | [`export`] and the files behind it | lines → the files of other tools |
//! | [`checks_junit`], [`junit`] | the checks → test cases → XML |

mod answers;
pub mod chart;
mod checks;
pub mod checks_junit;
mod client;
mod columns;
pub mod compare;
pub mod console;
mod course;
pub mod definitions;
pub mod draw;
pub mod escape;
mod evidence;
pub mod export;
mod findings;
mod grid;
pub mod history;
pub mod html;
pub mod junit;
mod levels;
pub mod look;
pub mod markdown;
mod marks;
pub mod palette;
#[cfg(feature = "plots")]
pub mod png;
pub mod reservoir;
pub mod samples;
pub mod scene;
mod server;
pub mod server_series;
pub mod sheet;
pub mod svg;
mod table;
pub mod ticks;
pub mod timeline;
mod tokens;
pub mod view;
