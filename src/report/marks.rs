//! What no report of a run may be without: that no real server answered, or that nobody knows who did.
//!
//! In: the two facts. Out: their sentences, and the words before a picture's headline.

/// The embedded simulator answered.
const SIMULATED: &str = "SIMULATED: the embedded simulator answered, not a real server";
/// `insecure: true`.
const INSECURE: &str =
    "INSECURE: any certificate was accepted, so whoever stood in between may have answered";

/// What is so, a sentence each.
pub(super) fn sentences(simulated: bool, insecure: bool) -> impl Iterator<Item = &'static str> {
    simulated.then_some(SIMULATED).into_iter().chain(insecure.then_some(INSECURE))
}

/// The same before a headline.
pub(super) fn prefix(simulated: bool, insecure: bool) -> String {
    let words = sentences(simulated, insecure).filter_map(|it| it.split(':').next());
    words.flat_map(|word| [word, " · "]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_headline_begins_with_what_is_so() {
        let all = [(false, false), (true, false), (false, true), (true, true)];
        let said = all.map(|(simulated, insecure)| prefix(simulated, insecure));
        assert_eq!(said, ["", "SIMULATED · ", "INSECURE · ", "SIMULATED · INSECURE · "]);
    }
}
