//! `addresses:` → which of a host's addresses are connected to.

use std::net::IpAddr;

use crate::plan::Addresses;
use crate::plan::bind::Spanned;
use crate::plan::diagnostic::Code;
use crate::plan::file::TextOrList;
use crate::plan::lower::Lowering;

impl Lowering<'_> {
    /// The addresses that are connected to.
    pub(super) fn addresses(&mut self, written: Option<&TextOrList>) -> Option<Addresses> {
        let listed = written.map(TextOrList::texts).unwrap_or_default();
        if let [word] = listed {
            match word.value.trim() {
                "" | "all" => return Some(Addresses::All),
                "first" => return Some(Addresses::First),
                _ => {}
            }
        }
        let found: Vec<IpAddr> = listed.iter().filter_map(|it| self.address(it)).collect();
        (found.len() == listed.len()).then_some(match found.as_slice() {
            [] => Addresses::All,
            _ => Addresses::Listed(found),
        })
    }

    fn address(&mut self, written: &Spanned<String>) -> Option<IpAddr> {
        let text = written.value.trim();
        let found = text.trim_matches(['[', ']']).parse();
        if found.is_err() {
            let message = format!("`{text}` is not an IP address");
            let help = "write `all`, `first`, or addresses like `10.0.0.7` (the port is the url's)";
            self.error(Code::Value, written.at.span, message, help);
        }
        found.ok()
    }
}
