//! The workflows that `jetway host`, `jetway dev` and `jetway demo` serve.

pub(crate) mod chain;
pub(crate) mod corpus;
pub(crate) mod nap;
pub(crate) mod order;
