//! Tests that start a server (sshd, nginx) or a browser. The quick run leaves them out.

pub mod action;
pub mod bad_input;
pub mod browser;
pub mod channels;
pub mod ci;
pub mod cli;
pub mod cli_sftp;
pub mod clock;
pub mod connections;
pub mod contract;
pub mod copied;
pub mod crashes_served;
pub mod cuts;
pub mod doctor;
pub mod documents;
pub mod least_privilege;
pub mod live;
pub mod moved;
pub mod nginx;
pub mod preview;
pub mod publish;
pub mod races;
pub mod resumed;
pub mod served_verify;
pub mod ssh_failures;
pub mod sshd;
