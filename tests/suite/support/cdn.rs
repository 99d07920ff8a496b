//! A fake of Cloudflare: an edge that caches, and the API that purges it.
//!
//! The real service is not available to tests. The edge is faithful in what matters to a publish: it keeps answers by
//! their complete URL and `Accept-Encoding` until they are purged, and reports this in `cf-cache-status`, `age` and
//! `cf-ray`. The API follows the documentation of `POST zones/ID/purge_cache`: a bearer token, `files` with a limited
//! number of URLs, `purge_everything`, `prefixes`, `hosts` or `tags`. It answers with the envelope `success`, `errors`,
//! `messages`, `result`, and with 403 and code 10000 if the token is wrong. A test can queue other answers, such as 429
//! with `Retry-After` for too many requests.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::http::Request;
use super::server::{Received, Reply, Server};

pub const ZONE: &str = "0123456789abcdef0123456789abcdef";
pub const TOKEN: &str = "tok-3f9d2c-secret";

/// How the edge changes the answers that pass through it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mischief {
    #[default]
    None,
    /// Browser Cache TTL of four hours.
    BrowserTtl,
    /// Rocket Loader's script in every page.
    RocketLoader,
    /// No origin: every answer has this status.
    Status(u16),
}

#[derive(Default)]
struct State {
    kept: HashMap<(String, String), Reply>,
    mischief: Mischief,
    /// Answers that the API gives next instead of purging.
    refusals: VecDeque<Reply>,
    /// The maximum number of files in a purge.
    most: usize,
    /// A host whose URLs are those of another zone.
    foreign: Option<String>,
    purged: Vec<Value>,
}

/// The edge and its API.
pub struct Cdn {
    pub edge: Server,
    pub api: Server,
    state: Arc<Mutex<State>>,
}

impl Cdn {
    /// An edge in front of an origin.
    pub fn before(origin: SocketAddr) -> Self {
        let state = Arc::new(Mutex::new(State {
            most: 100,
            ..State::default()
        }));
        let of_edge = Arc::clone(&state);
        let edge = Server::start(move |received| pass(&of_edge, origin, received));
        let of_api = Arc::clone(&state);
        let api = Server::start(move |received| purge(&of_api, received));
        Self { edge, api, state }
    }

    pub fn is_to(&self, mischief: Mischief) {
        self.state.lock().unwrap().mischief = mischief;
    }

    /// Makes the API give this answer once instead of purging.
    pub fn refuses_once(&self, reply: Reply) {
        self.state.lock().unwrap().refusals.push_back(reply);
    }

    pub fn takes_at_most(&self, files: usize) {
        self.state.lock().unwrap().most = files;
    }

    /// Makes a host one of another zone. The API refuses a purge with any URL of it.
    pub fn has_not(&self, host: &str) {
        self.state.lock().unwrap().foreign = Some(host.to_owned());
    }

    /// What was purged, request by request.
    pub fn purged(&self) -> Vec<Value> {
        self.state.lock().unwrap().purged.clone()
    }

    /// The tables of a site manifest that configure this CDN.
    pub fn tables(&self) -> String {
        format!(
            "[cloudflare]\nzone = \"{ZONE}\"\ntoken-env = \"CF_TOKEN\"\napi = \"http://{}/client/v4\"\n",
            self.api.address
        )
    }
}

fn pass(state: &Mutex<State>, origin: SocketAddr, received: &Received) -> Reply {
    let mischief = state.lock().unwrap().mischief;
    if let Mischief::Status(status) = mischief {
        return Reply::new(status, "error")
            .header("cf-ray", "1")
            .header("server", "cloudflare");
    }
    let accept = received.header("accept-encoding").unwrap_or_default().to_owned();
    let host = received.header("host").unwrap_or_default().to_owned();
    let key = (format!("http://{host}{}", received.target), accept.clone());
    let kept = state.lock().unwrap().kept.get(&key).cloned();
    let (reply, how) = if let Some(reply) = kept {
        (reply.header("age", "77"), "HIT")
    } else {
        let answer = Request::new(&received.method, &received.target)
            .header("Host", &host)
            .header("Accept-Encoding", &accept)
            .send(origin);
        let mut reply = Reply::new(answer.status, answer.body);
        let hop = ["connection", "transfer-encoding", "content-length", "server"];
        let end_to_end = answer
            .headers
            .into_iter()
            .filter(|(name, _)| !hop.contains(&name.to_lowercase().as_str()));
        reply.headers = end_to_end.collect();
        state.lock().unwrap().kept.insert(key, reply.clone());
        (reply, "MISS")
    };
    let mut reply = reply
        .header("cf-cache-status", how)
        .header("cf-ray", "1-FRA")
        .header("server", "cloudflare");
    match mischief {
        Mischief::BrowserTtl => {
            for (name, value) in &mut reply.headers {
                if name.eq_ignore_ascii_case("cache-control") && value == "no-cache" {
                    "max-age=14400".clone_into(value);
                }
            }
        }
        Mischief::RocketLoader if accept == "identity" && is_html(&reply) => {
            let text = String::from_utf8_lossy(&reply.body).replace(
                "</head>",
                "<script src=\"/cdn-cgi/scripts/7d0fa10a/cloudflare-static/rocket-loader.min.js\"></script></head>",
            );
            reply.body = text.into_bytes();
        }
        _ => {}
    }
    reply
}

fn is_html(reply: &Reply) -> bool {
    let mut headers = reply.headers.iter();
    headers.any(|(name, value)| name.eq_ignore_ascii_case("content-type") && value.starts_with("text/html"))
}

fn envelope(status: u16, errors: &Value, result: &Value) -> Reply {
    let success = status < 300;
    let body = json!({"success": success, "errors": errors, "messages": [], "result": result});
    Reply::new(status, body.to_string()).header("content-type", "application/json")
}

fn purge(state: &Mutex<State>, received: &Received) -> Reply {
    let mut state = state.lock().unwrap();
    if received.header("authorization") != Some(&format!("Bearer {TOKEN}")) {
        return envelope(
            403,
            &json!([{"code": 10000, "message": "Authentication error"}]),
            &Value::Null,
        );
    }
    if received.method != "POST" || received.target != format!("/client/v4/zones/{ZONE}/purge_cache") {
        return envelope(
            404,
            &json!([{"code": 7003, "message": "Could not route to the zone"}]),
            &Value::Null,
        );
    }
    if let Some(reply) = state.refusals.pop_front() {
        return reply;
    }
    let body = received.json();
    if let Some(files) = body["files"].as_array() {
        if files.len() > state.most {
            let message = format!("Max {} files", state.most);
            return envelope(400, &json!([{"code": 1012, "message": message}]), &Value::Null);
        }
        let is_foreign = |url: &Value| {
            let foreign = state.foreign.as_deref();
            foreign.is_some_and(|host| url.as_str().unwrap().contains(&format!("//{host}")))
        };
        if files.iter().any(is_foreign) {
            let message = "Unable to purge a URL of another zone";
            return envelope(400, &json!([{"code": 1016, "message": message}]), &Value::Null);
        }
        for file in files {
            let url = file.as_str().unwrap();
            state.kept.retain(|(kept, _), _| kept != url);
        }
    } else {
        // All other kinds of purge clear everything, because this fake has only one site.
        let known = ["purge_everything", "prefixes", "hosts", "tags"];
        assert!(known.iter().any(|key| body.get(key).is_some()), "{body}");
        state.kept.clear();
    }
    state.purged.push(body);
    envelope(200, &json!([]), &json!({"id": ZONE}))
}
