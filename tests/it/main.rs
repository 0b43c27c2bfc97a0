//! The one integration binary: everything here drives the library or the `runner` binary from
//! outside, over real files and real sockets.

mod answers;
mod asked;
mod bad_plans;
mod bombs;
mod calibrate;
mod ci;
mod claims;
mod client;
mod command_line;
mod compare;
mod compose;
mod contexts;
mod conversations;
#[path = "../crash/mod.rs"]
mod crash;
mod datasets;
mod dialects;
mod docs;
mod doctor;
mod documents;
mod estimates;
mod evidence;
mod faulty_server;
mod first_day;
mod flush;
mod fuzz;
mod gates;
mod guesses;
mod interrupts;
mod layouts;
mod load;
mod load_stages;
mod loads;
mod matrix;
mod plan_files;
mod plan_params;
mod plan_schema;
mod plans;
mod quick;
mod reader;
mod recovering;
mod reliability;
mod replays;
mod report;
mod reporting;
mod run;
mod sandbox;
mod scenarios;
mod secrets;
mod server_account;
mod shown_requests;
mod simulator;
mod sink_files;
mod small_tools;
mod streams;
mod synthetic;
mod synthetic_run;
mod tidy;
mod token_accounts;

#[path = "../theory/mod.rs"]
mod theory;
