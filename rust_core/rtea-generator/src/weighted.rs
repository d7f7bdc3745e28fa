//! Weighted choice: an entry with weight 3 comes three times as often as an entry with weight 1.

/// A list of entries with weights. At least one weight is positive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weighted<T> {
    entries: Vec<(T, u32)>,
    total: u64,
}

impl<T> Weighted<T> {
    /// Makes the list; `None` if no weight is positive.
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

    /// The entry at a place. If the places are evenly spread, each entry comes as often as its weight says. Linear in
    /// the number of entries.
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

    /// The entries and their weights.
    #[must_use]
    pub fn entries(&self) -> &[(T, u32)] {
        &self.entries
    }
}
