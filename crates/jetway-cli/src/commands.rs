//! The verbs, one in each file.

pub(crate) mod control;
pub(crate) mod demo;
pub(crate) mod dev;
pub(crate) mod doctor;
pub(crate) mod dot;
pub(crate) mod host;
pub(crate) mod runs;
pub(crate) mod start;
pub(crate) mod status;
pub(crate) mod verify;
