//! Text that means nothing and has a given length.
//!
//! In: seed, index, length in tokens, and who counts. Out: prose-like English. Invariant: the same
//! four give the same text; two indices share no beginning worth caching. Where tokens can be counted
//! the length is exact, else it is exact in characters.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::seed::keyed_rng;
use super::tokenizer::Tokenizer;

/// How often the length is corrected; two rounds do for any tokenizer seen.
const MOST_ROUNDS: usize = 16;

/// A text of `tokens` tokens that no other `index` has.
pub fn filler(seed: u64, index: u64, tokens: u64, tokenizer: &Tokenizer) -> String {
    let mut prose = Prose::new(keyed_rng(seed, "filler", index));
    if !tokenizer.is_exact() {
        prose.grow(tokens as f64 * tokenizer.most_chars_per_token());
        return tokenizer.truncate(&prose.text, tokens);
    }
    let mut rate = tokenizer.chars_per_token();
    let mut missing = tokens;
    let mut best = String::new();
    for _ in 0..MOST_ROUNDS {
        // A word more than should do, so that the cut and not the end decides.
        prose.grow(prose.text.len() as f64 + missing as f64 * rate + 16.0);
        let have = tokenizer.count(&prose.text);
        rate = prose.text.len() as f64 / have.max(1) as f64;
        if have < tokens {
            missing = tokens - have;
            continue;
        }
        let cut = tokenizer.truncate(&prose.text, tokens);
        let short = tokens - tokenizer.count(&cut).min(tokens);
        if cut.len() > best.len() {
            best = cut;
        }
        if short == 0 {
            break;
        }
        // No cut has this length: other words may have one.
        prose.text.truncate(best.len());
        missing = short;
    }
    best
}

/// Sentences of drawn words.
struct Prose {
    rng: ChaCha8Rng,
    words: Vec<&'static str>,
    text: String,
    /// Words until the sentence ends.
    left: u32,
}

impl Prose {
    fn new(rng: ChaCha8Rng) -> Self {
        Self { rng, words: WORDS.split(' ').collect(), text: String::new(), left: 0 }
    }

    /// Adds words until the text has at least this many characters (all of one byte).
    fn grow(&mut self, chars: f64) {
        while (self.text.len() as f64) < chars {
            let word = self.words[self.rng.random_range(0..self.words.len())];
            if self.left == 0 {
                if !self.text.is_empty() {
                    self.text.push_str(". ");
                }
                self.left = self.rng.random_range(6..18);
                self.text.push_str(&word[..1].to_ascii_uppercase());
                self.text.push_str(&word[1..]);
            } else {
                self.text.push_str(if self.rng.random_range(0..10) == 0 { ", " } else { " " });
                self.text.push_str(word);
            }
            self.left -= 1;
        }
    }
}

/// Plain words; a few hundred make any eight in a row as good as unique. Their order is part of every
/// plan's meaning.
const WORDS: &str = "\
    able about above across after again against almost along already also always among amount \
    animal another answer apple area around arrive autumn away balance basket beach beauty \
    because become before begin behind believe below beside better between beyond border bottle \
    bottom branch bread bridge bright bring broad brother brown build burn busy butter button \
    calm candle careful carry castle catch cause center certain chain chair chance change \
    cheese cherry choose circle city clean clear clever climb clock close cloth cloud coast \
    coffee cold collar color common corner cotton count country couple course cover cross crowd \
    current curtain dance danger daring dawn decide deep degree desert design detail differ \
    dinner distance doctor double doubt dozen dream drift drink drive during early earth easy \
    effort either electric empty enough enter entire equal evening event every exact example \
    expect explain fabric fact fair fall family famous farmer feather fence fever field figure \
    final finger finish fire first fish flame flat floor flour flower follow forest forget \
    formal forward fresh friend front frost fruit future garden gather gentle glass golden \
    grain grass gravel great green ground group guard guess guide habit half hammer handle \
    happen harbor hardly harvest heavy height hidden history hollow honest hope horse hour \
    house human hundred hurry idea image imagine inch include indeed inside instead iron island \
    jacket join journey judge kettle kitchen knife ladder lake language large later laugh \
    leader learn leather leave letter level light likely listen little lively local long loose \
    lucky lumber machine manner many map marble margin market master matter meadow meal measure \
    melody member memory metal middle minute mirror modern moment money month morning mother \
    motion mountain move music narrow nation nature nearly needle neither never noble noise \
    north notice number object observe ocean offer often olive open opinion orange order other \
    outside oven owner page paint pair palace paper parcel parent part past patient pattern \
    peace pencil people pepper perfect perhaps period person piece pillow planet plant plate \
    pleasant pocket point polish poor popular possible powder present pretty price print prize \
    problem proper proud public purple quality quarter question quick quiet rabbit rain rather \
    reach ready reason record region remain remember repair repeat report rest return ribbon \
    rice rich river road rocket roof room rough round rule sail salt sand scale school science \
    season second secret seldom sense sentence separate serve settle several shade shallow \
    shape sharp shelf shine short shoulder signal silent silver simple single sister size sleep \
    slight slow small smooth soft soil solid some song sorry sound south space speak special \
    speed spend spirit spoon spring square stable stair stand star station steady stone storm \
    story straight strange stream street strong student study sudden sugar summer supper supply \
    sure surface sweet swim symbol system table teach temple tender thick thin thing thousand \
    thread through thunder ticket timber tired title today together tomorrow tool toward tower \
    town trade train travel tree triangle trouble trust tunnel twelve under until upon useful \
    usual valley value various velvet very village violet visit voice wagon wait walk wall warm \
    watch water weather welcome west wheat wheel whether while whisper white whole wide wild \
    window winter within without wonder wood word work world write yellow yesterday young";

#[cfg(test)]
mod tests {
    use super::*;

    fn bundled() -> Tokenizer {
        Tokenizer::from_file(concat!(env!("CARGO_MANIFEST_DIR"), "/datasets/tokenizer.json"))
            .unwrap()
    }

    #[test]
    fn its_length_is_exact_with_a_tokenizer_file() {
        let tokenizer = bundled();
        for tokens in [0, 1, 2, 3, 16, 17, 100, 1_000, 5_003] {
            let text = filler(7, tokens, tokens, &tokenizer);
            assert_eq!(tokenizer.count(&text), tokens);
        }
    }

    #[test]
    fn its_length_is_exact_by_the_servers_count() {
        // Words are tokens, as in the vocabularies of today's models.
        let words = |text: &str| text.split_whitespace().count() as u64;
        let tokenizer = Tokenizer::served(move |text| Ok(words(text)), "four", 1);
        for tokens in [1, 2, 17, 100, 1_000, 5_003] {
            assert_eq!(words(&filler(7, tokens, tokens, &tokenizer)), tokens);
        }
        assert_eq!(filler(7, 0, 0, &tokenizer), "");
    }

    #[test]
    fn its_length_in_characters_is_exact_by_rate() {
        assert_eq!(filler(7, 0, 2_000, &Tokenizer::Estimate).len(), 8_000);
        assert_eq!(filler(7, 0, 100, &Tokenizer::Rate(4.5)).len(), 450);
        assert_eq!(filler(7, 0, 0, &Tokenizer::Estimate), "");
    }

    #[test]
    fn the_same_key_gives_the_same_text_and_another_index_another_beginning() {
        let text = |seed, index| filler(seed, index, 50, &Tokenizer::Estimate);
        assert_eq!(text(1, 2), text(1, 2));
        assert_ne!(text(1, 2), text(2, 2));
        let mut beginnings: Vec<String> =
            (0..2_000).map(|index| text(1, index)[..48].into()).collect();
        beginnings.sort();
        beginnings.dedup();
        assert_eq!(beginnings.len(), 2_000);
    }

    #[test]
    fn it_reads_like_prose_in_plain_ascii() {
        let text = filler(3, 0, 500, &Tokenizer::Estimate);
        assert!(text.bytes().all(|byte| byte.is_ascii_alphabetic() || b" ,.".contains(&byte)));
        assert!(text.starts_with(|first: char| first.is_ascii_uppercase()));
        assert!(text.matches(". ").count() > 10);
    }

    #[test]
    fn a_longer_one_continues_a_shorter_one() {
        let long = filler(3, 0, 500, &Tokenizer::Estimate);
        assert!(long.starts_with(&filler(3, 0, 100, &Tokenizer::Estimate)));
    }
}
