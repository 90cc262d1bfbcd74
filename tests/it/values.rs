//! Values of users: what goes in comes out, exactly, or a step fails and says why.

mod failures;
mod sizes;
mod support;
mod table;
