//! What the paths of a map found in one event, before any rule is applied.

use super::super::raw::Token;
use super::trie::{Node, Slot};

/// What a map looks for: paths in the event, and paths in an element of a list of items.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    pub(super) event: Node,
    pub(super) item: Node,
    /// Number of values that are looked for in an event, outside its lists of items.
    pub(super) event_slots: usize,
    /// The same for an element of a list of items.
    pub(super) item_slots: usize,
}

/// The values of one event, then those of the elements of its lists of items.
#[derive(Debug, Default)]
pub(super) struct Capture<'a> {
    tokens: Vec<Token<'a>>,
    /// For each element, which of the alternative lists it is from, and whether it is an object.
    elements: Vec<(usize, bool)>,
}

/// Where values go: place of the first value of the event, or of an element.
pub(super) type Base = usize;

/// Where the event's own values are.
pub(super) const EVENT: Base = 0;

impl<'a> Capture<'a> {
    /// Forgets everything, for another event.
    #[inline]
    pub(super) fn clear(&mut self, wanted: &Wanted) {
        self.tokens.truncate(wanted.event_slots);
        // Most values of the event before were taken, or were not there.
        for token in &mut self.tokens {
            if *token != Token::Absent {
                *token = Token::Absent;
            }
        }
        if self.tokens.len() < wanted.event_slots {
            self.tokens.resize(wanted.event_slots, Token::Absent);
        }
        self.elements.clear();
    }

    /// Keeps a value, if there is none yet: the first element of an array that has something wins.
    #[inline]
    pub(super) fn set(&mut self, base: Base, slot: Slot, token: Token<'a>) {
        let place = &mut self.tokens[base + slot];
        if !is_something(place) {
            *place = token;
        }
    }

    /// Begins an element of a list of items.
    pub(super) fn begin_item(&mut self, wanted: &Wanted, list: usize, is_object: bool) -> Base {
        let base = self.tokens.len();
        self.tokens.resize(base + wanted.item_slots, Token::Absent);
        self.elements.push((list, is_object));
        base
    }

    /// The event's own values; those of elements come after them.
    #[inline]
    pub(super) fn event(&mut self) -> &mut [Token<'a>] {
        &mut self.tokens
    }

    /// The first of the alternative lists that has elements.
    pub(super) fn first_list(&self) -> Option<usize> {
        self.elements.iter().map(|(list, _)| *list).min()
    }

    /// Values and kind of the elements of a list.
    pub(super) fn elements(&mut self, wanted: &Wanted, list: usize) -> impl Iterator<Item = (bool, &mut [Token<'a>])> {
        let values = self.tokens[wanted.event_slots..].chunks_mut(wanted.item_slots.max(1));
        let elements = self.elements.iter().zip(values).filter(move |((of, _), _)| *of == list);
        elements.map(|((_, is_object), values)| (*is_object, values))
    }
}

/// Whether a value is neither null nor a blank text: many systems write those for what they do not know.
#[inline]
pub(super) fn is_something(token: &Token<'_>) -> bool {
    match token {
        Token::Absent => false,
        Token::Text(text) => text.bytes().any(|byte| !byte.is_ascii_whitespace()),
        _ => true,
    }
}
