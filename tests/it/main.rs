//! The one integration binary: everything here drives the library or the `runner` binary from
//! outside, over real files and real sockets.

mod client;
mod evidence;
mod faulty_server;
mod run;
mod simulator;
mod tidy;
