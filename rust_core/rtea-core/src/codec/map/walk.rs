//! Finds the values of a map in a JSON text in one pass, without reading what the map does not name.
//!
//! It stops at escapes in a wanted string, repeated names and numbers with exponents, which [`super::tree`] reads. The law
//! (`tests/mapping.rs`, also fuzzed): what it accepts, the tree has with the same values.

use std::borrow::Cow;

use super::super::raw::Token;
use super::super::scan::reader::Reader;
use super::capture::{Base, Capture, Wanted, EVENT};
use super::trie::Node;

/// Levels of nesting on the way to a wanted value.
const MAX_DEPTH: u32 = 32;

/// Most members of one object that are looked for.
const MAX_MEMBERS: usize = 64;

/// Whether the places of a map are few enough.
pub(super) fn can_walk(wanted: &Wanted) -> bool {
    [&wanted.event, &wanted.item].iter().flat_map(|root| root.all()).all(|node| node.members() <= MAX_MEMBERS)
}

/// Takes the values that a map looks for; `None` for a spelling that it does not know, and for anything invalid.
pub(super) fn capture<'a>(text: &'a str, wanted: &Wanted, found: &mut Capture<'a>) -> Option<()> {
    found.clear(wanted);
    let mut walk = Walk { reader: Reader::of(text), wanted, found };
    walk.value(&wanted.event, EVENT, 0)?;
    walk.reader.end()
}

struct Walk<'t, 'a> {
    reader: Reader<'a>,
    wanted: &'t Wanted,
    found: &'t mut Capture<'a>,
}

impl<'t, 'a> Walk<'t, 'a> {
    fn value(&mut self, node: &'t Node, base: Base, depth: u32) -> Option<()> {
        if depth == MAX_DEPTH {
            return None;
        }
        let token = match self.reader.peek()? {
            b'{' => {
                self.members(node, base, depth)?;
                Token::Other
            }
            b'[' => {
                self.elements(node, base, depth)?;
                Token::Other
            }
            _ => self.reader.scalar()?,
        };
        match node.slots.as_slice() {
            [] => {}
            [slot] => self.found.set(base, *slot, token),
            slots => slots.iter().for_each(|slot| self.found.set(base, *slot, token.clone())),
        }
        Some(())
    }

    fn members(&mut self, node: &'t Node, base: Base, depth: u32) -> Option<()> {
        let mut seen = 0_u64;
        self.reader.begin(b'{')?;
        let mut is_first = true;
        while self.reader.goes_on(b'}', is_first)? {
            is_first = false;
            let key = self.reader.key()?;
            match node.member(key) {
                None => self.reader.skip(depth)?,
                // The last of repeated names counts.
                Some((place, _)) if seen >> place & 1 == 1 => return None,
                Some((place, member)) => {
                    seen |= 1 << place;
                    self.value(member, base, depth + 1)?;
                }
            }
        }
        Some(())
    }

    fn elements(&mut self, node: &'t Node, base: Base, depth: u32) -> Option<()> {
        if !node.looks_into_arrays() {
            return self.reader.skip(depth);
        }
        self.reader.begin(b'[')?;
        let mut number = 0;
        while self.reader.goes_on(b']', number == 0)? {
            self.element(number, node, base, depth + 1)?;
            number += 1;
        }
        Some(())
    }

    /// Reads an element as often as something is looked for in it.
    fn element(&mut self, number: usize, node: &'t Node, base: Base, depth: u32) -> Option<()> {
        let is_object = self.reader.peek()? == b'{';
        let start = self.reader.place();
        let mut end = None;
        for wanted in node.elements(number) {
            self.reader.go_to(start);
            self.value(wanted, base, depth)?;
            end = Some(self.reader.place());
        }
        for selected in node.selected() {
            self.reader.go_to(start);
            let text = if is_object { self.text_of(&selected.member, depth)? } else { None };
            if let Some(wanted) = text.and_then(|text| selected.of(text)) {
                self.reader.go_to(start);
                self.value(wanted, base, depth)?;
                end = Some(self.reader.place());
            }
        }
        if let Some(list) = node.items {
            self.reader.go_to(start);
            let base = self.found.begin_item(self.wanted, list, is_object);
            self.value(&self.wanted.item, base, depth)?;
            end = Some(self.reader.place());
        }
        match end {
            Some(end) => self.reader.go_to(end),
            None => {
                self.reader.go_to(start);
                self.reader.skip(depth)?;
            }
        }
        Some(())
    }

    /// The text of a member of the object here.
    fn text_of(&mut self, member: &str, depth: u32) -> Option<Option<&'a str>> {
        let mut found: Option<Token<'a>> = None;
        self.reader.object(|reader, key| {
            if key != member.as_bytes() {
                return reader.skip(depth);
            }
            let value = if matches!(reader.peek()?, b'{' | b'[') {
                reader.skip(depth)?;
                Token::Other
            } else {
                reader.scalar()?
            };
            // The last of repeated names counts: the tree reads that.
            found.replace(value).is_none().then_some(())
        })?;
        Some(match found {
            Some(Token::Text(Cow::Borrowed(text))) => Some(text),
            _ => None,
        })
    }
}
