//! Which versions of nats-server are used.

use semver::Version;

/// The oldest server that Jetway runs on: 2.12 brought atomic batches and message schedules.
pub const MIN_VERSION: Version = Version::new(2, 12, 0);

/// The server that is installed where none is found.
pub const INSTALLED_VERSION: Version = Version::new(2, 15, 1);
