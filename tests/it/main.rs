//! The one integration binary.

mod bad_plans;
mod load;
mod plan_files;
mod plan_params;
mod plan_schema;
mod plans;
mod reader;
