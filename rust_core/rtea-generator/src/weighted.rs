//! Things of which each is as common as its weight says.

/// A list of things with their weights, at least one of them positive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weighted<T> {
    entries: Vec<(T, u32)>,
    total: u64,
}

impl<T> Weighted<T> {
    /// The list; `None` when no weight is positive.
    ///
    /// ```
    /// use rtea_generator::weighted::Weighted;
    /// let coins = Weighted::new(vec![("penny", 3), ("dime", 1)]).expect("there are positive weights");
    /// assert_eq!([0, 2, 3, 4].map(|place| *coins.at(place)), ["penny", "penny", "dime", "penny"]);
    /// assert!(Weighted::new(vec![("penny", 0)]).is_none());
    /// ```
    #[must_use]
    pub fn new(entries: Vec<(T, u32)>) -> Option<Self> {
        let total = entries.iter().map(|(_, weight)| u64::from(*weight)).sum();
        (total > 0).then_some(Self { entries, total })
    }

    /// The thing at a place: evenly spread places give each as often as its weight says. Cost: one step an entry.
    #[must_use]
    pub fn at(&self, place: u64) -> &T {
        let mut rest = place % self.total;
        for (thing, weight) in &self.entries {
            match rest.checked_sub(u64::from(*weight)) {
                Some(left) => rest = left,
                None => return thing,
            }
        }
        unreachable!("a place is below the sum of the weights")
    }

    /// Sum of the weights.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The things and their weights.
    #[must_use]
    pub fn entries(&self) -> &[(T, u32)] {
        &self.entries
    }
}
