//! The colours behind the roles, light and dark.
//!
//! In: a [`Tone`]. Out: its colour as `#rrggbb`. Invariant: neighbouring series colours differ for
//! people with any kind of colour blindness (after Okabe and Ito, darkened or lightened until each
//! has a contrast of at least 3 to 1 on its paper).

use std::fmt::Write;

use super::chart::Tone;

/// Light and dark.
type Pair = (&'static str, &'static str);

const SERIES: [Pair; 8] = [
    ("#0b6fb8", "#5ab0f5"),
    ("#d5560a", "#ff8f4a"),
    ("#0a8f6a", "#3cc9a0"),
    ("#b8558f", "#e693c4"),
    ("#a67600", "#f0c24b"),
    ("#7a4fbf", "#b79af0"),
    ("#2a93c7", "#8fd0f0"),
    ("#6b6b6b", "#b5b5b5"),
];
const RAMP: [Pair; 8] = [
    ("#7dbdb8", "#3b5f8a"),
    ("#5fb0b8", "#3f7a9e"),
    ("#449bb0", "#4595ab"),
    ("#3485a6", "#55afb2"),
    ("#2f6d99", "#71c7b3"),
    ("#315588", "#97dbb0"),
    ("#343e71", "#c3ebb0"),
    ("#2f2858", "#f0f7c0"),
];

/// The light and the dark colour of a role.
pub fn colours(tone: Tone) -> Pair {
    match tone {
        Tone::Series(number) => SERIES[usize::from(number) % SERIES.len()],
        Tone::Ramp(step) => RAMP[usize::from(step) % RAMP.len()],
        Tone::Ink => ("#1b2028", "#e6e9ee"),
        Tone::Muted => ("#5d6673", "#9aa4b2"),
        Tone::Grid => ("#e6e9ee", "#2b313a"),
        Tone::Bad => ("#c0341d", "#ff7a66"),
        Tone::Paper => ("#ffffff", "#14171c"),
    }
}

/// Every role as a class that sets `color`, following the reader's preference for light or dark;
/// paper is always light in print.
pub fn style_sheet() -> String {
    let mut css = String::new();
    let tones = tones();
    for tone in &tones {
        let class = tone.class();
        let _infallible = write!(css, ".{class}{{color:var(--{class})}}");
    }
    let variables = |pick: fn(Pair) -> &'static str| -> String {
        tones.iter().fold(String::new(), |mut css, tone| {
            let _infallible = write!(css, "--{}:{};", tone.class(), pick(colours(*tone)));
            css
        })
    };
    let (light, dark) = (variables(|pair| pair.0), variables(|pair| pair.1));
    let _infallible = write!(
        css,
        ":root{{color-scheme:light dark;{light}}}\
         @media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}"
    );
    css
}

fn tones() -> Vec<Tone> {
    let numbered = (0..8).map(Tone::Series).chain((0..8).map(Tone::Ramp));
    numbered.chain([Tone::Ink, Tone::Muted, Tone::Grid, Tone::Bad, Tone::Paper]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance by WCAG 2.
    fn luminance(colour: &str) -> f64 {
        let channel = |at: usize| {
            let value = u8::from_str_radix(&colour[at..at + 2], 16).expect("two hex digits");
            let share = f64::from(value) / 255.0;
            if share <= 0.04045 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    }

    fn contrast(left: &str, right: &str) -> f64 {
        let (left, right) = (luminance(left), luminance(right));
        (left.max(right) + 0.05) / (left.min(right) + 0.05)
    }

    #[test]
    fn series_stand_out_from_their_paper_and_words_can_be_read() {
        let paper = colours(Tone::Paper);
        for tone in (0..8).map(Tone::Series) {
            let (light, dark) = colours(tone);
            assert!(contrast(light, paper.0) >= 3.0, "{light} on light");
            assert!(contrast(dark, paper.1) >= 3.0, "{dark} on dark");
        }
        for tone in [Tone::Ink, Tone::Muted, Tone::Bad] {
            let (light, dark) = colours(tone);
            assert!(contrast(light, paper.0) >= 4.5 && contrast(dark, paper.1) >= 4.5, "{tone:?}");
        }
    }
}
