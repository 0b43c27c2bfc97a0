//! Where a line of the log belongs.
//!
//! In: a line's stage, cell and rung. Out: something that can be compared and looked up. Invariant: a
//! rung is compared by its bits, so that equal is exactly equal.

/// A stage, or a rung of one, of a cell.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// Id of the stage.
    pub stage: String,
    /// Matrix cell, if any.
    pub cell: Option<String>,
    /// The rung's bits, if it is one.
    pub rung: Option<u64>,
}

impl Place {
    /// The place of what names this stage, cell and rung.
    pub fn of(stage: &str, cell: Option<&str>, rung: Option<f64>) -> Self {
        let cell = cell.map(str::to_owned);
        Self { stage: stage.to_owned(), cell, rung: rung.map(f64::to_bits) }
    }
}
