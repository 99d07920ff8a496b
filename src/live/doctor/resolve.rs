//! Resolves the site's name through the DNS, as visitors do: its addresses and the aliases in between.
//!
//! It must not use this machine's hosts file, because visitors don't have its entries. It uses the resolvers that the
//! system is configured with, or the one that is given.

use std::net::SocketAddr;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};

use super::name::Dns;

/// Time limit for a resolver's answer. After it, the query is repeated once.
const PATIENCE: Duration = Duration::from_millis(1_400);

const NO_ADDRESS: &str = "it has no address";

/// Resolves a name to its addresses and aliases. There is at least one address.
///
/// # Errors
/// Why there is no answer, as text.
pub(super) async fn resolve(name: &str, resolver: Option<SocketAddr>) -> Result<Dns, String> {
    let mut builder = match resolver {
        None => TokioResolver::builder_tokio().map_err(|error| error.to_string())?,
        Some(address) => {
            let mut server = NameServerConfig::udp_and_tcp(address.ip());
            for connection in &mut server.connections {
                let connection: &mut ConnectionConfig = connection;
                connection.port = address.port();
            }
            let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        }
    };
    let options = builder.options_mut();
    options.use_hosts_file = ResolveHosts::Never;
    options.timeout = PATIENCE;
    options.attempts = 1;
    let resolver = builder.build().map_err(|error| error.to_string())?;
    // The trailing dot makes the name fully qualified, so that this machine's search domains are not appended.
    let whole = format!("{}.", name.trim_end_matches('.'));
    let (v4, v6) = tokio::join!(
        resolver.lookup(whole.as_str(), RecordType::A),
        resolver.lookup(whole.as_str(), RecordType::AAAA)
    );
    let mut dns = Dns::default();
    let mut failed = None;
    for answer in [v4, v6] {
        let lookup = match answer {
            Ok(lookup) => lookup,
            Err(error) => {
                failed.get_or_insert(if error.is_nx_domain() {
                    "there is no such name".to_owned()
                } else if error.is_no_records_found() {
                    NO_ADDRESS.to_owned()
                } else {
                    format!("the resolver did not answer: {error}")
                });
                continue;
            }
        };
        for record in lookup.answers() {
            match &record.data {
                RData::A(address) => dns.addresses.push(address.0.into()),
                RData::AAAA(address) => dns.addresses.push(address.0.into()),
                RData::CNAME(alias) => {
                    let alias = alias.0.to_utf8().trim_end_matches('.').to_owned();
                    if !dns.aliases.contains(&alias) {
                        dns.aliases.push(alias);
                    }
                }
                _ => {}
            }
        }
    }
    if dns.addresses.is_empty() {
        return Err(failed.unwrap_or_else(|| NO_ADDRESS.to_owned()));
    }
    Ok(dns)
}
