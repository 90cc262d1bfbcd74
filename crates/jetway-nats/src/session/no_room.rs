//! When the server last had no room.

use jetway_state::Timestamp;
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// How long it is worth a warning.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);

/// A time that is noted again and again. An operator reads it in `doctor`, after there is room again: what was due meanwhile came late.
#[derive(Debug, Default)]
pub(super) struct NoRoom {
    /// In milliseconds since 1970; 0 for never.
    latest: AtomicU64,
}

impl NoRoom {
    /// There was no room at this time.
    pub(super) fn note(&self, at: Timestamp) {
        self.latest.fetch_max(at.0, Ordering::Relaxed);
    }

    /// When there was none, if that is not long ago.
    pub(super) fn recently(&self, now: Timestamp) -> Option<Timestamp> {
        let at = Timestamp(self.latest.load(Ordering::Relaxed));
        (at.0 > 0 && now.since(at) <= REMEMBERED).then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_time_is_known() {
        let no_room = NoRoom::default();
        let now = Timestamp(100);
        assert_eq!(no_room.recently(now), None);
        for (noted, latest) in [(5, 5), (3, 5), (9, 9)] {
            no_room.note(Timestamp(noted));
            assert_eq!(no_room.recently(now), Some(Timestamp(latest)));
        }
        assert_eq!(no_room.recently(Timestamp(9).after(REMEMBERED)), Some(Timestamp(9)));
        assert_eq!(no_room.recently(Timestamp(10).after(REMEMBERED)), None);
    }
}
