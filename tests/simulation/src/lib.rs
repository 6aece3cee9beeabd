//! A simulated tool on simulated slots, for tests and benchmarks of the pool.
//!
//! [`Item`]s say themselves how much work they are and what goes wrong where they are; a [`World`] says how fast each slot is,
//! what it holds and when it is lost, and keeps the truth of what happened, which a test compares with what the pool says.

mod item;
mod oracle;
mod random;
mod run;
mod scenario;
mod tool;
mod world;

pub use item::{Item, Nature};
pub use random::Random;
pub use scenario::{JobPlan, Reader, Scenario, Size, Warmer};
pub use tool::{LoadPlan, OUTPUT, Simulated, ToolPlan};
pub use world::{Machine, State, Time, Truth, World};
