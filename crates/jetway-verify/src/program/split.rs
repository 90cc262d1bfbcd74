//! Two branches that two edges open.

use super::{Frame, Join, Op};

/// A branch of a split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// That of the node `left`.
    Left,
    /// That of the node `right`.
    Right,
}

impl Side {
    /// Both, in the order of their branches.
    pub const BOTH: [Self; 2] = [Self::Left, Self::Right];

    /// The node that begins it.
    pub fn node(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Right => "right",
        }
    }

    fn position(self) -> usize {
        match self {
            Self::Left => 0,
            Self::Right => 1,
        }
    }
}

impl Frame {
    /// The frame of one of the two branches of a split, after its first step.
    pub fn side(self, branches: [Vec<Op>; 2], side: Side) -> Option<Self> {
        self.branches(branches.into(), Join::Gathered).into_iter().nth(side.position())
    }
}
