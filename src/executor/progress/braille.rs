//! Points → rows of braille letters, two dots wide and four high each.
//!
//! In: points as shares of width and height, from 0 to 1. Out: rows of text, top row first. Invariant:
//! a point outside is drawn at the edge, one that is no number not at all.

/// A grid of dots.
#[derive(Debug)]
pub struct Canvas {
    columns: usize,
    rows: usize,
    cells: Vec<u8>,
}

/// The dot's bit by its column and row within a letter.
const BITS: [[u8; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];

impl Canvas {
    /// An empty grid of so many letters.
    pub fn new(columns: usize, rows: usize) -> Self {
        Self { columns, rows, cells: vec![0; columns * rows] }
    }

    /// Sets the dot at `x` from the left and `y` from the bottom.
    pub fn dot(&mut self, x: f64, y: f64) {
        if x.is_nan() || y.is_nan() || self.cells.is_empty() {
            return;
        }
        let column = place(x, self.columns * 2);
        let row = self.rows * 4 - 1 - place(y, self.rows * 4);
        self.cells[row / 4 * self.columns + column / 2] |= BITS[column % 2][row % 4];
    }

    /// Draws a line from one point to another; what lies outside ends at the edge.
    pub fn line(&mut self, from: [f64; 2], to: [f64; 2]) {
        let [from, to] = [from, to].map(|point| point.map(|share| share.clamp(0.0, 1.0)));
        let steps = (self.columns * 2).max(self.rows * 4).max(1);
        for step in 0..=steps {
            let share = step as f64 / steps as f64;
            self.dot(from[0] + (to[0] - from[0]) * share, from[1] + (to[1] - from[1]) * share);
        }
    }

    /// The rows of text.
    pub fn rows(&self) -> Vec<String> {
        let letter = |bits: &u8| char::from_u32(0x2800 + u32::from(*bits)).unwrap_or(' ');
        let row = |cells: &[u8]| cells.iter().map(letter).collect();
        self.cells.chunks(self.columns.max(1)).map(row).collect()
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of some hundred dots, clamped"
)]
fn place(share: f64, dots: usize) -> usize {
    let last = dots.saturating_sub(1);
    ((share.clamp(0.0, 1.0) * last as f64).round() as usize).min(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_stand_where_they_belong() {
        let mut canvas = Canvas::new(2, 1);
        canvas.dot(0.0, 0.0);
        canvas.dot(1.0, 1.0);
        canvas.dot(f64::NAN, 0.5);
        assert_eq!(canvas.rows(), ["⡀⠈"]);
        canvas.line([-1.0, 0.0], [2.0, 0.0]);
        assert_eq!(canvas.rows(), ["⣀⣈"]);
    }

    #[test]
    fn a_grid_without_room_draws_nothing() {
        let mut canvas = Canvas::new(0, 3);
        canvas.line([0.0, 0.0], [1.0, 1.0]);
        assert!(canvas.rows().is_empty());
    }
}
