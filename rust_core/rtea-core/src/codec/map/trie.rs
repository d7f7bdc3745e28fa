//! The paths of a map, merged into one tree, so that one pass over an event finds all of them.

use super::path::Step;

/// Number of a value that is looked for.
pub(super) type Slot = usize;

/// Lengths of names that are told apart; longer ones share the last.
const LENGTHS: usize = 32;

/// Most keys of a node that have a bit.
const MOST_BITS: usize = 64;

/// What is looked for at one place of an event, and below it.
#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    /// Values that are this one.
    pub(super) slots: Vec<Slot>,
    /// Which of the alternative lists of items is an array here.
    pub(super) items: Option<usize>,
    keys: Vec<(String, Node)>,
    /// For each length of a name, a bit for each of the first 64 keys of that length: most names of an event are no key.
    by_length: [u64; LENGTHS],
    each: Option<Box<Node>>,
    selected: Vec<Selected>,
}

/// What is looked for in those elements of an array, a member of which has a certain text.
#[derive(Debug, Clone)]
pub(super) struct Selected {
    pub(super) member: String,
    choices: Vec<(String, Node)>,
}

impl Selected {
    /// What is looked for in elements with this text.
    pub(super) fn of(&self, text: &str) -> Option<&Node> {
        self.choices.iter().find(|(known, _)| known == text).map(|(_, node)| node)
    }
}

impl Node {
    /// The place at the end of a path, which is made if it is not there yet.
    pub(super) fn at(&mut self, steps: &[Step]) -> &mut Self {
        let Some((step, rest)) = steps.split_first() else { return self };
        let next = match step {
            Step::Each => self.each.get_or_insert_default(),
            Step::Key(name) => named(&mut self.keys, name),
            Step::Where { member, text } => {
                let place = self.selected.iter().position(|known| known.member == *member);
                let place = place.unwrap_or_else(|| {
                    self.selected.push(Selected { member: member.clone(), choices: Vec::new() });
                    self.selected.len() - 1
                });
                named(&mut self.selected[place].choices, text)
            }
        };
        next.at(rest)
    }

    /// Number and place of a member of an object.
    #[inline]
    pub(super) fn member(&self, key: &[u8]) -> Option<(usize, &Self)> {
        if self.keys.len() > MOST_BITS {
            let place = self.keys.iter().position(|(name, _)| name.as_bytes() == key)?;
            return Some((place, &self.keys[place].1));
        }
        let mut candidates = self.by_length[key.len().min(LENGTHS - 1)];
        while candidates != 0 {
            let place = candidates.trailing_zeros() as usize;
            let (name, node) = &self.keys[place];
            if name.as_bytes() == key {
                return Some((place, node));
            }
            candidates &= candidates - 1;
        }
        None
    }

    /// Fills the tables for [`Self::member`], here and below, when all paths are there.
    pub(super) fn index(&mut self) {
        for (place, (name, node)) in self.keys.iter_mut().enumerate() {
            node.index();
            if place < MOST_BITS {
                self.by_length[name.len().min(LENGTHS - 1)] |= 1 << place;
            }
        }
        self.each.iter_mut().for_each(|node| node.index());
        self.selected.iter_mut().flat_map(|selected| &mut selected.choices).for_each(|(_, node)| node.index());
    }

    /// How many members are looked for.
    pub(super) fn members(&self) -> usize {
        self.keys.len()
    }

    /// Whether something is looked for in the elements of an array.
    #[inline]
    pub(super) fn looks_into_arrays(&self) -> bool {
        self.items.is_some() || self.each.is_some() || !self.selected.is_empty() || self.has_numbers()
    }

    fn has_numbers(&self) -> bool {
        self.keys.iter().any(|(name, _)| name.bytes().all(|byte| byte.is_ascii_digit()))
    }

    /// What is looked for in each element of an array, and in the element with a number.
    pub(super) fn elements(&self, number: usize) -> impl Iterator<Item = &Self> {
        let numbered = if self.has_numbers() { self.member(number.to_string().as_bytes()) } else { None };
        self.each.as_deref().into_iter().chain(numbered.map(|(_, node)| node))
    }

    /// What is looked for in some elements, by their members.
    pub(super) fn selected(&self) -> &[Selected] {
        &self.selected
    }

    /// This place and all below it.
    pub(super) fn all(&self) -> Vec<&Self> {
        let below = self.keys.iter().map(|(_, node)| node).chain(self.each.as_deref());
        let below =
            below.chain(self.selected.iter().flat_map(|selected| selected.choices.iter().map(|(_, node)| node)));
        std::iter::once(self).chain(below.flat_map(Self::all)).collect()
    }
}

fn named<'n>(nodes: &'n mut Vec<(String, Node)>, name: &str) -> &'n mut Node {
    let place = nodes.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
        nodes.push((name.to_owned(), Node::default()));
        nodes.len() - 1
    });
    &mut nodes[place].1
}
