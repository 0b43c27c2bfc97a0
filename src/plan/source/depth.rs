//! How deep a TOML text nests, before it is parsed.
//!
//! In: TOML text. Out: the first byte that lies too deep. The parser limits brackets and braces but
//! not dotted keys, each dot of which is a level: a line of 20,000 of them overflows the stack of
//! whoever walks or drops the tree. Invariant: constant memory per level, linear time.

/// Deepest nesting of lists and maps, dots of keys included. No plan comes near it, and a debug build
/// spends some 30 KiB of stack on each level of YAML.
pub(super) const MOST: usize = 32;

/// The first byte deeper than [`MOST`] levels.
pub(super) fn too_deep(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut scan = Scan { header: 0, open: Vec::new(), dots: 0, in_header: false, in_value: false };
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            quote @ (b'"' | b'\'') => {
                at = end_of_string(bytes, at, quote);
                continue;
            }
            b'#' => {
                at += bytes[at..].iter().take_while(|&&byte| byte != b'\n').count();
                continue;
            }
            byte => scan.step(byte),
        }
        if scan.depth() > MOST {
            return Some(at);
        }
        at += 1;
    }
    None
}

struct Scan {
    /// Levels that the last `[header]` opened.
    header: usize,
    /// Levels of each open bracket or brace, with the dots of the key before it.
    open: Vec<usize>,
    /// Dots of the key being read.
    dots: usize,
    in_header: bool,
    in_value: bool,
}

impl Scan {
    fn depth(&self) -> usize {
        self.header + self.open.iter().sum::<usize>() + self.dots
    }

    fn step(&mut self, byte: u8) {
        match byte {
            b'.' => self.dots += 1,
            b'=' => self.in_value = true,
            b',' => self.dots = 0,
            b'[' if self.open.is_empty() && !self.in_value => {
                self.in_header = true;
                self.header = 0;
            }
            b'[' | b'{' => {
                self.open.push(self.dots + 1);
                self.dots = 0;
            }
            b']' | b'}' => {
                self.open.pop();
                if !self.in_header {
                    self.dots = 0;
                }
            }
            b'\n' if self.open.is_empty() => {
                if self.in_header {
                    self.header = self.dots + 2;
                }
                (self.in_header, self.in_value, self.dots) = (false, false, 0);
            }
            _ => {}
        }
    }
}

/// One past the string that opens at `at`; a string of one line ends with it.
fn end_of_string(bytes: &[u8], at: usize, quote: u8) -> usize {
    let triple = bytes[at..].starts_with(&[quote; 3]);
    let mut next = at + if triple { 3 } else { 1 };
    while next < bytes.len() {
        match bytes[next] {
            b'\\' if quote == b'"' => next += 2,
            b'\n' if !triple => return next,
            byte if byte == quote && (!triple || bytes[next..].starts_with(&[quote; 3])) => {
                return next + if triple { 3 } else { 1 };
            }
            _ => next += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_brackets_and_headers_add_up() {
        let dotted = |levels: usize| vec!["a"; levels].join(".");
        assert_eq!(too_deep(&format!("{} = 1", dotted(30))), None);
        assert!(too_deep(&format!("{} = 1", dotted(70))).is_some());
        assert!(too_deep(&format!("[{}]\nx = 1", dotted(70))).is_some());
        assert!(too_deep(&format!("[{0}]\n{0} = 1", dotted(20))).is_some());
        assert!(too_deep(&format!("x = {{ {0} = {{ {0} = 1 }} }}", dotted(20))).is_some());
        assert!(too_deep(&format!("x = {}", "[".repeat(70))).is_some());
    }

    #[test]
    fn dots_in_strings_and_on_other_lines_do_not() {
        let dots = ".".repeat(100);
        assert_eq!(too_deep(&format!("a = \"{dots}\\\"{dots}\" # {dots}")), None);
        assert_eq!(too_deep(&format!("a = \"\"\"{dots}\n{dots}\"\"\"\nb = '{dots}'")), None);
        assert_eq!(too_deep(&"a.b = [1.5, 2.5]\n[x.y]\n".repeat(100)), None);
    }
}
