//! Finds the values of a map in an event of any format and spelling: reads the whole event first.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::super::raw::{Token, TokenVisitor};
use super::capture::{Base, Capture, Wanted, EVENT};
use super::trie::Node;

/// Any value of JSON or MessagePack.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::codec) enum Tree<'a> {
    Scalar(Token<'a>),
    Array(Vec<Tree<'a>>),
    Object(Vec<(Cow<'a, str>, Tree<'a>)>),
}

/// Takes the values that a map looks for.
pub(super) fn capture<'a>(event: Tree<'a>, wanted: &Wanted, found: &mut Capture<'a>) {
    found.clear(wanted);
    Taking { wanted, found }.take(event, &wanted.event, EVENT);
}

struct Taking<'t, 'a> {
    wanted: &'t Wanted,
    found: &'t mut Capture<'a>,
}

impl<'a> Taking<'_, 'a> {
    fn take(&mut self, value: Tree<'a>, node: &Node, base: Base) {
        let token = match value {
            Tree::Scalar(token) => token,
            Tree::Object(members) => {
                self.take_members(members, node, base);
                Token::Other
            }
            Tree::Array(elements) => {
                if node.looks_into_arrays() {
                    elements.into_iter().enumerate().for_each(|(number, element)| {
                        self.take_element(number, element, node, base);
                    });
                }
                Token::Other
            }
        };
        node.slots.iter().for_each(|slot| self.found.set(base, *slot, token.clone()));
    }

    fn take_members(&mut self, members: Vec<(Cow<'a, str>, Tree<'a>)>, node: &Node, base: Base) {
        let mut last = vec![None; node.members()];
        for (key, value) in members {
            if let Some((place, _)) = node.member(key.as_bytes()) {
                last[place] = Some((key, value));
            }
        }
        for (key, value) in last.into_iter().flatten() {
            if let Some((_, member)) = node.member(key.as_bytes()) {
                self.take(value, member, base);
            }
        }
    }

    fn take_element(&mut self, number: usize, element: Tree<'a>, node: &Node, base: Base) {
        node.elements(number).for_each(|wanted| self.take(element.clone(), wanted, base));
        for selected in node.selected() {
            if let Some(wanted) = element.text_of(&selected.member).and_then(|text| selected.of(text)) {
                self.take(element.clone(), wanted, base);
            }
        }
        if let Some(list) = node.items {
            let base = self.found.begin_item(self.wanted, list, matches!(element, Tree::Object(_)));
            let item = &self.wanted.item;
            self.take(element, item, base);
        }
    }
}

impl<'a> Tree<'a> {
    /// The text of a member of this object.
    fn text_of(&self, member: &str) -> Option<&str> {
        let Self::Object(members) = self else { return None };
        match members.iter().rev().find(|(key, _)| key == member) {
            Some((_, Self::Scalar(Token::Text(text)))) => Some(text),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Tree<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

macro_rules! scalars {
    ($($visit:ident($type:ty)),* $(,)?) => {
        $(
            fn $visit<E: serde::de::Error>(self, value: $type) -> Result<Self::Value, E> {
                TokenVisitor.$visit(value).map(Tree::Scalar)
            }
        )*
    };
}

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Tree::Scalar(Token::Absent))
    }
    scalars! {
        visit_bool(bool), visit_i64(i64), visit_u64(u64), visit_f64(f64), visit_f32(f32), visit_str(&str),
        visit_borrowed_str(&'de str), visit_bytes(&[u8]),
    }
    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Self::Value, D::Error> {
        IgnoredAny::deserialize(inner).map(|_| Tree::Scalar(Token::Other))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = seq.next_element()? {
            elements.push(element);
        }
        Ok(Tree::Array(elements))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some((key, value)) = map.next_entry::<Tree<'de>, Tree<'de>>()? {
            match key {
                Tree::Scalar(Token::Text(key)) => members.push((key, value)),
                // In MessagePack, a key can have any type; no path names such a key.
                Tree::Scalar(_) | Tree::Array(_) | Tree::Object(_) => {}
            }
        }
        Ok(Tree::Object(members))
    }
}
