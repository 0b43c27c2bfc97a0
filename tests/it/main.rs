//! The one integration binary.

mod bad_plans;
mod plan_schema;
mod plans;
mod reader;
