//! Tests each rule against a made-up secret of its format. The secrets are assembled here, so that secret scanners do
//! not report this file.

use super::*;
use crate::config::Levels;
use crate::model::severity::Severity;
use crate::site::check::check;
use crate::site::check::tests::Export;

/// Returns pseudorandom characters of an alphabet. They are the same on every machine and contain no word of a sample.
fn drawn(alphabet: &str, length: usize) -> String {
    let alphabet: Vec<char> = alphabet.chars().collect();
    let mut state = 99_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        alphabet[(state >> 8) as usize % alphabet.len()]
    };
    (0..length).map(|_| next()).collect()
}

const HEX: &str = "0123456789abcdef";
const LETTERS: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
const WORD: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
const LOWER: &str = "abcdefghijklmnopqrstuvwxyz0123456789";
const BASE32: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Returns a secret for each rule, with its ID.
#[expect(clippy::too_many_lines, reason = "a table")]
fn secrets() -> Vec<(&'static str, String)> {
    let word = |length| drawn(WORD, length);
    let hex = |length| drawn(HEX, length);
    let key = format!(
        "-----BEGIN RSA PRIVATE {0}-----\n{1}\n-----END RSA PRIVATE {0}-----",
        "KEY",
        word(400)
    );
    vec![
        (
            "age-secret-key",
            format!("AGE-SECRET-KEY-1{}", drawn("QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58)),
        ),
        ("anthropic-admin-api-key", format!("sk-ant-admin01-{}AA", word(93))),
        ("anthropic-api-key", format!("sk-ant-api03-{}AA", word(93))),
        ("aws-access-token", format!("AKIA{}", drawn(BASE32, 16))),
        ("azure-ad-client-secret", format!("abc8Q~{}", word(34))),
        ("cloudflare-api-key", format!("CLOUDFLARE_API_TOKEN=\"{}\"", word(40))),
        ("cloudflare-origin-ca-key", format!("v1.0-{}-{}", hex(24), hex(146))),
        ("databricks-api-token", format!("dapi{}", hex(32))),
        ("digitalocean-access-token", format!("doo_v1_{}", hex(64))),
        ("digitalocean-pat", format!("dop_v1_{}", hex(64))),
        ("digitalocean-refresh-token", format!("dor_v1_{}", hex(64))),
        ("doppler-api-token", format!("dp.pt.{}", word(43))),
        ("gcp-api-key", format!("AIza{}", word(35))),
        ("github-app-token", format!("ghs_{}", word(36))),
        ("github-fine-grained-pat", format!("github_pat_{}", word(82))),
        ("github-oauth", format!("gho_{}", word(36))),
        ("github-pat", format!("ghp_{}", word(36))),
        ("github-refresh-token", format!("ghr_{}", word(36))),
        ("gitlab-cicd-job-token", format!("glcbt-64_{}", word(20))),
        ("gitlab-deploy-token", format!("gldt-{}", word(20))),
        ("gitlab-feed-token", format!("glft-{}", word(20))),
        ("gitlab-incoming-mail-token", format!("glimt-{}", word(25))),
        ("gitlab-kubernetes-agent-token", format!("glagent-{}", word(50))),
        ("gitlab-oauth-app-secret", format!("gloas-{}", word(64))),
        ("gitlab-pat", format!("glpat-{}", word(20))),
        ("gitlab-pat", format!("glpat-{}.{}", word(40), drawn(LOWER, 9))),
        ("gitlab-ptt", format!("glptt-{}", hex(40))),
        ("gitlab-rrt", format!("GR1348941{}", word(20))),
        ("gitlab-runner-authentication-token", format!("glrt-{}", word(20))),
        ("gitlab-scim-token", format!("glsoat-{}", word(20))),
        ("grafana-cloud-api-token", format!("glc_{}", word(40))),
        ("grafana-service-account-token", format!("glsa_{}_{}", word(32), hex(8))),
        ("hashicorp-tf-api-token", format!("{}.atlasv1.{}", word(14), word(64))),
        ("heroku-api-key-v2", format!("HRKU-AA{}", word(58))),
        ("huggingface-access-token", format!("hf_{}", drawn(LETTERS, 34))),
        ("jwt", jwt::tests::token(r#"{"role":"service_role","iss":"db"}"#)),
        ("linear-api-key", format!("lin_api_{}", word(40))),
        (
            "microsoft-teams-webhook",
            format!(
                "https://acme.webhook.office.com/webhookb2/{0}@{0}/IncomingWebhook/{1}/{0}",
                format!("{}-{}-{}-{}-{}", hex(8), hex(4), hex(4), hex(4), hex(12)),
                hex(32)
            ),
        ),
        (
            "notion-api-token",
            format!("ntn_{}{}", drawn("0123456789", 11), word(35)),
        ),
        ("npm-access-token", format!("npm_{}", word(36))),
        ("openai-api-key", format!("sk-{0}T3BlbkFJ{0}", word(20))),
        ("openai-api-key", format!("sk-proj-{0}T3BlbkFJ{0}", word(74))),
        ("perplexity-api-key", format!("pplx-{}", word(48))),
        ("planetscale-api-token", format!("pscale_tkn_{}", word(43))),
        ("planetscale-oauth-token", format!("pscale_oauth_{}", word(43))),
        ("planetscale-password", format!("pscale_pw_{}", word(43))),
        ("postman-api-token", format!("PMAK-{}-{}", hex(24), hex(34))),
        ("private-key", key),
        ("pulumi-api-token", format!("pul-{}", hex(40))),
        ("pypi-upload-token", format!("pypi-AgEIcHlwaS5vcmc{}", word(80))),
        ("readme-api-token", format!("rdme_{}", drawn(LOWER, 70))),
        ("rubygems-api-token", format!("rubygems_{}", hex(48))),
        ("sendgrid-api-token", format!("SG.{}", word(66))),
        ("sendinblue-api-token", format!("xkeysib-{}-{}", hex(64), word(16))),
        (
            "sentry-org-token",
            format!("sntrys_eyJpYXQiO{}_{}", word(120), word(43)),
        ),
        ("sentry-user-token", format!("sntryu_{}", hex(64))),
        ("shopify-access-token", format!("shpat_{}", hex(32))),
        ("shopify-custom-access-token", format!("shpca_{}", hex(32))),
        ("shopify-private-app-access-token", format!("shppa_{}", hex(32))),
        ("shopify-shared-secret", format!("shpss_{}", hex(32))),
        (
            "slack-app-token",
            format!("xapp-1-A052-{}-{}", drawn("123456789", 12), hex(64)),
        ),
        (
            "slack-bot-token",
            format!("xoxb-{0}-{0}-{1}", drawn("123456789", 12), word(24)),
        ),
        ("slack-config-refresh-token", format!("xoxe-1-{}", word(146))),
        (
            "slack-legacy-token",
            format!("xoxs-{0}-{0}-{0}-{1}", drawn("123456789", 11), hex(10)),
        ),
        ("slack-legacy-workspace-token", format!("xoxa-2-{}", word(40))),
        (
            "slack-user-token",
            format!("xoxp-{0}-{0}-{0}-{1}", drawn("123456789", 12), hex(32)),
        ),
        (
            "slack-webhook-url",
            format!(
                "https://hooks.slack.com/services/T{}/B{}/{}",
                word(9),
                word(9),
                word(24)
            ),
        ),
        ("square-access-token", format!("sq0atp-{}", word(22))),
        ("stripe-access-token", format!("sk_live_{}", word(24))),
        ("vault-batch-token", format!("hvb.{}", word(140))),
        ("vault-service-token", format!("hvs.{}", word(95))),
    ]
}

/// Returns the IDs of the rules that find something in a text.
fn ids(path: &str, text: &[u8]) -> Vec<String> {
    let mut hits = Vec::new();
    search(path, text, &mut hits);
    hits.into_iter().map(|hit| hit.rule).collect()
}

#[test]
fn each_rule_finds_a_secret_of_its_form_wherever_it_is() {
    let secrets = secrets();
    let covered: Vec<&str> = secrets.iter().map(|(id, _)| *id).collect();
    let missing: Vec<&str> = RULES
        .iter()
        .map(|rule| rule.id)
        .filter(|id| !covered.contains(id))
        .collect();
    assert_eq!(missing, [""; 0]);
    for (id, secret) in &secrets {
        let escaped = secret.replace('"', "\\\"").replace('\n', "\\n");
        for text in [
            secret.clone(),
            format!("<code>{}</code>", secret.replace('"', "&quot;")),
            format!("{{\"key\":\"{escaped}\"}}"),
            format!("\"first\\n{escaped}\\n\""),
            format!("\\u003ccode\\u003e{escaped}\\u003c/code\\u003e"),
            format!("curl -H 'X-Key: {secret}'"),
            format!("KEY={secret}"),
        ] {
            assert_eq!(ids("a.html", text.as_bytes()), [*id], "{text}");
        }
    }
}

#[test]
fn a_longer_word_is_no_secret() {
    for (id, secret) in secrets()
        .into_iter()
        .filter(|(id, _)| !matches!(*id, "private-key" | "cloudflare-api-key"))
    {
        let host = secret.starts_with("https://");
        let found = ids("a.html", format!("x{secret}").as_bytes());
        assert!(host || found.is_empty(), "{id}: x{secret}");
    }
    assert_eq!(ids("a.html", format!("ghp_{}", drawn(WORD, 37)).as_bytes()), [""; 0]);
}

#[test]
fn samples_are_left_in_peace() {
    for text in [
        "AKIAIOSFODNN7EXAMPLE",
        "AKIAI44QH8DHBEXAMPLE",
        "AKIAAAAAAAAAAAAAAAAA",
        "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
        "ghp_1234567890abcdefghijABCDEFGHIJ123456",
        "github_pat_<your token>",
        "glpat-xxxxxxxxxxxxxxxxxxxx",
        "glpat-your-token-goes-here",
        "npm_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "sk_test_4eC39HqLyjWDarjtT1zdp7dc",
        "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
        "access_token=gho_16C7e42F292c6912E7710c838347Ae178B4a&scope=repo",
        "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        "ghs_16C7e42F292c6912E7710c838347Ae178B4a",
        "AIzaSyDaGmWKa4JsXZ-HjGw7ISLn_3namBGewQe",
        "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",
        "sk_live_...",
        "sk_live_xxxxxxxxxxxxxxxxxxxxxxxx",
        "sk_live_YourSecretKeyGoesHere",
        "xoxb-000000000000-000000000000-xxxxxxxxxxxxxxxxxxxxxxxx",
        "xoxb-your-token",
        "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX",
        "sk-proj-xxxxxxxx",
        "SG.xxxxxxxxxxxxxxxxxxxxxx.xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----",
        "-----BEGIN CERTIFICATE-----\nMIIDdzCCAl+gAwIBAgIEAgAAuTANBgkqhkiG9w0BAQUFADBaMQswCQYDVQQGEwJJRTES\n-----END",
        "CLOUDFLARE_API_TOKEN=\"how-to-configure-cache-rules-at-the-edge\"",
        "Cloudflare, how-to-configure-cache-rules-at-the-edge",
        "CLOUDFLARE_API_TOKEN=${{ secrets.CLOUDFLARE_API_TOKEN }}",
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ\
         .SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c",
        "data:application/json;base64,eyJ2ZXJzaW9uIjozLCJzb3VyY2VzIjpbXX0=",
    ] {
        assert_eq!(ids("a.html", text.as_bytes()), [""; 0], "{text}");
    }
}

#[test]
fn key_that_a_browser_needs_is_left_in_peace() {
    let key = format!("AIza{}", drawn(WORD, 35));
    assert_eq!(
        ids("_next/static/chunks/a.js", format!("{{apiKey:\"{key}\"}}").as_bytes()),
        [""; 0]
    );
    assert_eq!(
        ids(
            "a.html",
            format!("<iframe src='https://maps.example.com/?key={key}'>").as_bytes()
        ),
        [""; 0]
    );
}

#[test]
fn files_that_are_no_texts_are_not_searched() {
    let secret = format!("ghp_{}", drawn(WORD, 36));
    assert_eq!(ids("a.bin", format!("\0{secret}").as_bytes()), [""; 0]);
}

#[test]
fn a_finding_shows_no_more_than_four_characters_of_a_secret() {
    let secret = format!("ghp_{}", drawn(WORD, 36));
    let page = format!("<p>\n<code>{secret}</code> and {secret}");
    let payload = format!("0:\"{secret}\"\n");
    let export = Export::new(&[
        ("a.html", page.as_str()),
        ("a.txt", &payload),
        ("a/__next._full.txt", &payload),
    ]);
    assert_eq!(
        export.finds(find),
        ["a.html:2: contains a GitHub token: ghp_… (40 characters) (github-pat)"]
    );
    let problems = check(export.material(), &Levels::default());
    assert!(!format!("{problems:?}").contains(&secret[4..8]));
}

/// A hint must not suggest turning the check down because of a secret: the secret is public, and only revoking it
/// helps.
#[test]
fn every_fix_ends_with_revoking_the_secret_and_none_turns_the_check_down() {
    let named = ["server.pem", "key.p12", "production.env", "credentials.json"].map(|path| (path, "x".to_owned()));
    let held = secrets().into_iter().map(|(_, secret)| ("page.html", secret));
    let mut seen = 0;
    for (path, secret) in named.into_iter().chain(held) {
        let export = Export::new(&[(path, secret)]);
        for problem in check(export.material(), &Levels::default()) {
            if problem.check != NAME {
                continue;
            }
            seen += 1;
            let last = problem.hint.rsplit("then ").next().unwrap();
            assert!(last.starts_with("REVOKE "), "{path}: {}", problem.hint);
            for word in ["warn", "level", "off", "secrets"] {
                assert!(!problem.hint.contains(word), "{path}: {}", problem.hint);
            }
        }
    }
    assert_eq!(seen, 4 + secrets().len());
}

#[test]
fn a_file_named_like_a_secret_is_found_unless_it_holds_something_else() {
    let export = Export::new(&[
        ("keys/server.key", "secret"),
        (
            "keys/ca.pem",
            "-----BEGIN CERTIFICATE-----\nMIID\n-----END CERTIFICATE-----\n",
        ),
        ("production.env", "DATABASE_URL=x"),
        ("b.p12", "\u{0}"),
    ]);
    assert_eq!(
        export.finds(find),
        [
            "production.env: its name is that of a file of environment variables (env-file)",
            "keys/server.key: its name is that of a private key (key-file)",
            "b.p12: its name is that of a bundle of private keys (pkcs12-file)",
        ]
    );
}

#[test]
fn what_may_be_public_is_only_a_warning() {
    let (weak, strong) = (jwt::tests::token(r#"{"sub":"8f1c"}"#), drawn(WORD, 20));
    let page = format!("<p>{weak}\nglpat-{strong}");
    let export = Export::new(&[
        ("index.html", page.as_str()),
        ("404.html", ""),
        ("_next/static/a.js", "1"),
    ]);
    let problems = check(export.material(), &Levels::default());
    let found: Vec<_> = problems
        .iter()
        .map(|problem| (problem.line, problem.severity))
        .collect();
    assert_eq!(found, [(Some(1), Severity::Warning), (Some(2), Severity::Error)]);
    let off = Levels::default().with("secrets", crate::config::Level::Off);
    let export = Export::searched(
        &[("index.html", page.as_str())],
        &crate::site::check::Searches::new(&off, &crate::config::Forbidden::default()),
    );
    assert_eq!(export.finds(find), [""; 0]);
}

#[test]
fn rules_are_sorted_and_their_patterns_compile() {
    assert!(RULES.windows(2).all(|pair| pair[0].id <= pair[1].id));
    let literals = RULES.iter().flat_map(|rule| rule.literals.split('|'));
    assert_eq!(PATTERNS.as_ref().unwrap().rules.len(), literals.count());
}

/// Returns how long a search of a text takes, and its hits.
fn searched(text: &str) -> (std::time::Duration, Vec<Hit>) {
    let (began, mut hits) = (std::time::Instant::now(), Vec::new());
    search("a.txt", text.as_bytes(), &mut hits);
    (began.elapsed(), hits)
}

#[test]
fn time_stays_in_proportion_to_a_text_that_repeats_beginnings_of_secrets() {
    let header = format!("-----BEGIN PRIVATE {}-----\n", "KEY");
    for (what, text) in [
        ("glued", "eyJ".repeat(170_000)),
        ("apart", "eyJ-".repeat(125_000)),
        ("in turns", "eyJhbGciOiJIUzI1NiJ9-.".repeat(23_000)),
        (
            "one token",
            format!("{0}.{0}.{0}", "eyJhbGciOiJIUzI1NiJ9-".repeat(8_000)),
        ),
        ("of a chat", format!("xoxb-12345678-{}-", "1".repeat(11)).repeat(19_000)),
        ("of keys", header.repeat(18_000)),
    ] {
        let (took, _) = searched(&text);
        assert!(took < std::time::Duration::from_secs(20), "{what}: {took:?}");
    }
}

#[test]
fn time_stays_in_proportion_to_the_number_of_secrets() {
    let mut state = 7_u64;
    let mut drawn = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let number = |at: u64| (state >> at) % 62;
        char::from(WORD.as_bytes()[usize::try_from(number(33)).unwrap()])
    };
    let mut token = || -> String { (0..36).map(|_| drawn()).collect() };
    let text: String = (0..50_000)
        .flat_map(|_| ["ghp_".to_owned(), token(), "\n".to_owned()])
        .collect();
    let (took, hits) = searched(&text);
    assert!(hits.len() > 45_000, "{}", hits.len());
    assert_eq!(hits.last().unwrap().line, Some(50_000));
    assert!(took < std::time::Duration::from_secs(20), "{took:?}");
    // A payload repeats the content of its page. Comparing the two must not take quadratic time either.
    let page = ("a.html", text.as_str());
    let payload = ("a.txt", text.as_str());
    let forbidden = crate::config::Forbidden::default();
    let export = Export::searched(
        &[page, payload],
        &crate::site::check::Searches::new(&Levels::default(), &forbidden),
    );
    let began = std::time::Instant::now();
    // All secrets look the same once they are masked.
    assert_eq!(export.finds(find).len(), 1);
    assert!(
        began.elapsed() < std::time::Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn token_behind_a_word_and_a_dash_is_found_once() {
    let token = jwt::tests::token(r#"{"role":"service_role","iss":"db"}"#);
    for text in [
        format!("key-{token}"),
        format!("key-{token} {token}"),
        format!("\\n{token}\\n"),
    ] {
        let (_, hits) = searched(&text);
        assert_eq!(hits.len(), 1, "{text}");
    }
    let (_, hits) = searched(&format!("x{token}"));
    assert_eq!(hits, []);
}
