//! `Merge` for `Vec` and `String`, which mostly grow at their end.

use super::Merge;
use std::ops::Range;

/// Merging appends. Rebasing finds the range of `base` that this side replaced (an append, an insertion or a removal)
/// and replaces the same range of `theirs`. Items that both sides inserted at one position follow in the order of their
/// commits.
///
/// Where the ranges of both sides overlap and no length changed, each item is treated as a register. Where a length
/// changed, the later commit wins as a whole. To insert into and remove from one collection concurrently, use a set or
/// a map.
impl<T: PartialEq> Merge for Vec<T> {
    fn merge(&mut self, other: Self) {
        self.extend(other);
    }

    fn rebase(mut self, base: &Self, mut theirs: Self) -> Self {
        let (changed, changed_by_them) = (changed_range(base, &self), changed_range(base, &theirs));
        let range = if changed_by_them.end <= changed.start {
            // After their change, positions are the same as in `base` when counted from the end.
            let from_end = |at: usize| theirs.len() - (base.len() - at);
            from_end(changed.start)..from_end(changed.end)
        } else if changed.end <= changed_by_them.start {
            changed.clone()
        } else if self.len() == base.len() && theirs.len() == base.len() {
            return rebase_slots(self, base, theirs);
        } else {
            return self;
        };
        let end = self.len() - (base.len() - changed.end);
        drop(theirs.splice(range, self.drain(changed.start..end)));
        theirs
    }
}

/// The shortest range of `base` that was replaced to get `new`.
fn changed_range<T: PartialEq>(base: &[T], new: &[T]) -> Range<usize> {
    let start = base.iter().zip(new).take_while(|(old, new)| old == new).count();
    let (base_rest, new_rest) = (base[start..].iter().rev(), new[start..].iter().rev());
    let same_end = base_rest.zip(new_rest).take_while(|(old, new)| old == new).count();
    start..base.len() - same_end
}

fn rebase_slots<T: PartialEq>(mine: Vec<T>, base: &[T], theirs: Vec<T>) -> Vec<T> {
    let slots = mine.into_iter().zip(base).zip(theirs);
    slots.map(|((mine, base), theirs)| if mine == *base { theirs } else { mine }).collect()
}

/// Merging appends. Rebasing appends the tail that this side added to `theirs`. Where this side replaced the text, it
/// appends the tail that the others added to `self`. Where both sides replaced the text, the later commit wins.
impl Merge for String {
    fn merge(&mut self, other: Self) {
        self.push_str(&other);
    }

    fn rebase(mut self, base: &Self, mut theirs: Self) -> Self {
        if let Some(tail) = self.strip_prefix(base.as_str()) {
            theirs.push_str(tail);
            return theirs;
        }
        if let Some(tail) = theirs.strip_prefix(base.as_str()) {
            self.push_str(tail);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::Merge;

    fn rebased(mine: &str, base: &str, theirs: &str) -> String {
        let items = |text: &str| text.chars().collect::<Vec<_>>();
        items(mine).rebase(&items(base), items(theirs)).into_iter().collect()
    }

    #[test]
    fn an_append_meets_any_other_change() {
        assert_eq!(rebased("abcM", "abc", "abcT"), "abcTM");
        assert_eq!(rebased("abcM", "abc", "bc"), "bcM");
        assert_eq!(rebased("abcM", "abc", ""), "M");
        assert_eq!(rebased("", "abc", "abcT"), "T");
        assert_eq!(rebased("bc", "abc", "abcT"), "bcT");
        assert_eq!(rebased("cba", "abc", "abcT"), "cbaT");
    }

    #[test]
    fn changes_at_different_places_are_both_kept() {
        assert_eq!(rebased("Mabc", "abc", "abTc"), "MabTc");
        assert_eq!(rebased("abMMc", "abc", "TTabc"), "TTabMMc");
        assert_eq!(rebased("ab", "abcd", "bcd"), "b");
        assert_eq!(rebased("Mabc", "abc", "Tabc"), "TMabc");
    }

    #[test]
    fn slots_that_both_sides_wrote_are_registers() {
        assert_eq!(rebased("M_M_", "____", "_TT_"), "MTM_");
    }

    #[test]
    fn the_later_of_two_whole_rewrites_wins() {
        assert_eq!(rebased("mine", "base", "not"), "mine");
    }

    #[test]
    fn text_grows_at_its_end() {
        let rebased = |mine: &str, base: &str, theirs: &str| {
            mine.to_owned().rebase(&base.to_owned(), theirs.to_owned())
        };
        assert_eq!(rebased("log mine", "log", "log theirs"), "log theirs mine");
        assert_eq!(rebased("", "log", "log theirs"), " theirs");
        assert_eq!(rebased("log mine", "log", ""), " mine");
        assert_eq!(rebased("mine", "log", "theirs"), "mine");
        assert_eq!(rebased("log", "log", "theirs"), "theirs");
    }
}
