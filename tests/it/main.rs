//! The one integration test binary: everything that needs sockets, files or processes.

mod client;
mod faulty_server;
