//! The rules: a subset of the default configuration of gitleaks v8.30.1 (MIT), with its IDs, the meaning of its
//! patterns and its minimum entropies. Pure.
//!
//! The subset consists of rules for secrets with a distinctive format, so a page that merely mentions a service is not
//! a finding. It leaves out the rules that recognize a secret by the words around it (except one), because
//! documentation is full of such words, the rules for test keys, and those for keys that grant no access. Two rules
//! differ from the original: a Google key that browsers use is public by design, and a JSON Web Token is usually a
//! sample. Both are reported only if neither is likely, and as warnings.
//!
//! A pattern is tried only around its literal, and its match must stand alone: no letter, digit or `_` before or after
//! it. So patterns need no boundaries. A pattern must not match across its own literal without a bound: in a text that
//! repeats the literal, each try would read the rest of the text. (`jwt` would do that, and is tried once for each run
//! of its characters.)

/// How a match is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// A random token.
    Token,
    /// A random token of lowercase letters, uppercase letters and digits.
    Mixed,
    /// A key that code in a browser may contain.
    BrowserKey,
    /// A JSON Web Token.
    Jwt,
    /// The header of a private key in the PEM format.
    PrivateKey,
}

/// A rule for one kind of secret. Its regular expressions are for bytes, and match around its literal.
#[derive(Debug)]
pub(super) struct Rule {
    /// The rule's ID in the published set.
    pub id: &'static str,
    /// A description of the secret, with its article.
    pub what: &'static str,
    /// The regular expression for what is before the literal.
    pub lead: &'static str,
    /// The number of bytes that `lead` matches.
    pub before: usize,
    /// The literal texts, separated by `|`. Every match contains one of them. No other rule has the same.
    pub literals: &'static str,
    /// The regular expression for what is after the literal. If it has a group, the first group is the secret.
    pub rest: &'static str,
    /// The least entropy of the secret, in bits per byte.
    pub entropy: f64,
    /// How a match is judged.
    pub shape: Shape,
}

impl Rule {
    /// Whether a match is a warning at most.
    pub(super) fn may_be_public(&self) -> bool {
        matches!(self.shape, Shape::BrowserKey | Shape::Jwt)
    }
}

/// Returns the rule for a random token that begins with its literal.
const fn token(id: &'static str, what: &'static str, literals: &'static str, rest: &'static str, entropy: f64) -> Rule {
    Rule {
        id,
        what,
        lead: "",
        before: 0,
        literals,
        rest,
        entropy,
        shape: Shape::Token,
    }
}

/// All rules, sorted by ID: the ID, a description, the literals, the pattern after them and the least entropy.
#[rustfmt::skip] // A table is read by its lines.
pub(super) const RULES: &[Rule] = &[
    token("age-secret-key", "an age secret key", "AGE-SECRET-KEY-1", "[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}", 0.0),
    token("anthropic-admin-api-key", "an Anthropic admin key", "sk-ant-admin01-", r"[\w-]{93}AA", 3.0),
    token("anthropic-api-key", "an Anthropic key", "sk-ant-api03-", r"[\w-]{93}AA", 3.0),
    token("aws-access-token", "an AWS access key", "AKIA|ASIA|ABIA|ACCA", "[A-Z2-7]{16}", 3.0),
    token("aws-access-token", "an AWS access key", "A3T", "[A-Z0-9][A-Z2-7]{16}", 3.0),
    Rule { lead: r"[\w~.]{3}[0-9]", before: 4,
        ..token("azure-ad-client-secret", "an Azure client secret", "Q~", r"[\w~.-]{31,34}", 3.0) },
    Rule { shape: Shape::Mixed,
        ..token("cloudflare-api-key", "a Cloudflare token", "cloudflare|Cloudflare|CLOUDFLARE", concat!(
            r#"[ \t\w.-]{0,20}(?:[\s'"\\]|&quot;){0,3}(?:=|>|:{1,3}=|\|\||:|=>|\?=|,)(?:[\x60'"\\\s=]|&quot;){0,5}"#,
            r"([\w-]{40})(?:[^\w-]|$)"), 3.5) },
    token("cloudflare-origin-ca-key", "a Cloudflare origin key", "v1.0-", "[a-f0-9]{24}-[a-f0-9]{146}", 2.0),
    token("databricks-api-token", "a Databricks token", "dapi", "[a-f0-9]{32}(?:-[0-9])?", 3.0),
    token("digitalocean-access-token", "a DigitalOcean token", "doo_v1_", "[a-f0-9]{64}", 3.0),
    token("digitalocean-pat", "a DigitalOcean token", "dop_v1_", "[a-f0-9]{64}", 3.0),
    token("digitalocean-refresh-token", "a DigitalOcean token", "dor_v1_", "[a-f0-9]{64}", 3.0),
    token("doppler-api-token", "a Doppler token", "dp.pt.", "[a-zA-Z0-9]{43}", 2.0),
    Rule { shape: Shape::BrowserKey, ..token("gcp-api-key", "a Google Cloud key", "AIza", r"[\w-]{35}", 4.0) },
    token("github-app-token", "a GitHub app token", "ghu_|ghs_", "[0-9a-zA-Z]{36}", 3.0),
    token("github-fine-grained-pat", "a GitHub token", "github_pat_", r"\w{82}", 3.0),
    token("github-oauth", "a GitHub token", "gho_", "[0-9a-zA-Z]{36}", 3.0),
    token("github-pat", "a GitHub token", "ghp_", "[0-9a-zA-Z]{36}", 3.0),
    token("github-refresh-token", "a GitHub token", "ghr_", "[0-9a-zA-Z]{36}", 3.0),
    token("gitlab-cicd-job-token", "a GitLab job token", "glcbt-", r"[0-9a-zA-Z]{1,5}_[\w-]{20}", 3.0),
    token("gitlab-deploy-token", "a GitLab deploy token", "gldt-", r"[\w-]{20}", 3.0),
    token("gitlab-feed-token", "a GitLab feed token", "glft-", r"[\w-]{20}", 3.0),
    token("gitlab-incoming-mail-token", "a GitLab mail token", "glimt-", r"[\w-]{25}", 3.0),
    token("gitlab-kubernetes-agent-token", "a GitLab agent token", "glagent-", r"[\w-]{50}", 3.0),
    token("gitlab-oauth-app-secret", "a GitLab app secret", "gloas-", r"[\w-]{64}", 3.0),
    token("gitlab-pat", "a GitLab token", "glpat-", r"(?:[\w-]{27,300}[.][0-9a-z]{9}|[\w-]{20})", 3.0),
    token("gitlab-ptt", "a GitLab trigger token", "glptt-", "[0-9a-f]{40}", 3.0),
    token("gitlab-rrt", "a GitLab runner token", "GR1348941", r"[\w-]{20}", 3.0),
    token("gitlab-runner-authentication-token", "a GitLab runner token", "glrt-",
        r"(?:t[0-9]_[\w-]{27,300}[.][0-9a-z]{9}|[\w-]{20})", 3.0),
    token("gitlab-scim-token", "a GitLab token", "glsoat-", r"[\w-]{20}", 3.0),
    token("grafana-cloud-api-token", "a Grafana token", "glc_", "[A-Za-z0-9+/]{32,400}={0,3}", 3.0),
    token("grafana-service-account-token", "a Grafana token", "glsa_", "[A-Za-z0-9]{32}_[A-Fa-f0-9]{8}", 3.0),
    Rule { lead: "[a-zA-Z0-9]{14}", before: 14,
        ..token("hashicorp-tf-api-token", "a Terraform token", ".atlasv1.", r"[\w=-]{60,70}", 3.5) },
    token("heroku-api-key-v2", "a Heroku key", "HRKU-AA", r"[\w-]{58}", 4.0),
    token("huggingface-access-token", "a Hugging Face token", "hf_", "[a-zA-Z]{34}", 3.0),
    Rule { shape: Shape::Jwt,
        ..token("jwt", "a JSON Web Token", "eyJ", r"[\w-]{14,}[.]eyJ[\w-]{14,}[.][\w-]{10,}", 3.0) },
    token("linear-api-key", "a Linear key", "lin_api_", "[a-zA-Z0-9]{40}", 2.0),
    token("microsoft-teams-webhook", "a Microsoft Teams webhook", ".webhook.office.com/webhookb2/",
        "([a-z0-9@-]{73}/IncomingWebhook/[a-z0-9]{32}/[a-z0-9-]{36})", 3.0),
    token("notion-api-token", "a Notion token", "ntn_", "[0-9]{11}[A-Za-z0-9]{35}", 4.0),
    token("npm-access-token", "an npm token", "npm_", "[a-zA-Z0-9]{36}", 3.0),
    Rule { lead: "sk-[a-zA-Z0-9]{20}", before: 23,
        ..token("openai-api-key", "an OpenAI key", "T3BlbkFJ", "[a-zA-Z0-9]{20}", 3.0) },
    token("openai-api-key", "an OpenAI key", "sk-proj-|sk-svcacct-|sk-admin-",
        r"(?:[\w-]{74}|[\w-]{58})T3BlbkFJ(?:[\w-]{74}|[\w-]{58})", 3.0),
    token("perplexity-api-key", "a Perplexity key", "pplx-", "[a-zA-Z0-9]{48}", 4.0),
    token("planetscale-api-token", "a PlanetScale token", "pscale_tkn_", r"[\w=.-]{32,64}", 3.0),
    token("planetscale-oauth-token", "a PlanetScale token", "pscale_oauth_", r"[\w=.-]{32,64}", 3.0),
    token("planetscale-password", "a PlanetScale password", "pscale_pw_", r"[\w=.-]{32,64}", 3.0),
    token("postman-api-token", "a Postman token", "PMAK-", "[a-fA-F0-9]{24}-[a-fA-F0-9]{34}", 3.0),
    Rule { shape: Shape::PrivateKey,
        ..token("private-key", "a private key", "-----BEGIN", "[ A-Z0-9_-]{0,100}PRIVATE KEY(?: BLOCK)?-----", 0.0) },
    token("pulumi-api-token", "a Pulumi token", "pul-", "[a-f0-9]{40}", 2.0),
    token("pypi-upload-token", "a PyPI token", "pypi-AgEIcHlwaS5vcmc", r"[\w-]{50,1000}", 3.0),
    token("readme-api-token", "a ReadMe token", "rdme_", "[a-z0-9]{70}", 2.0),
    token("rubygems-api-token", "a RubyGems token", "rubygems_", "[a-f0-9]{48}", 2.0),
    token("sendgrid-api-token", "a SendGrid token", "SG.", r"[\w=.-]{66}", 3.0),
    token("sendinblue-api-token", "a Brevo token", "xkeysib-", "[a-f0-9]{64}-[a-zA-Z0-9]{16}", 2.0),
    token("sentry-org-token", "a Sentry token", "sntrys_eyJpYXQiO",
        "[a-zA-Z0-9+/]{30,400}={0,2}_[a-zA-Z0-9+/]{43}", 4.5),
    token("sentry-user-token", "a Sentry token", "sntryu_", "[a-f0-9]{64}", 3.5),
    token("shopify-access-token", "a Shopify token", "shpat_", "[a-fA-F0-9]{32}", 2.0),
    token("shopify-custom-access-token", "a Shopify token", "shpca_", "[a-fA-F0-9]{32}", 2.0),
    token("shopify-private-app-access-token", "a Shopify token", "shppa_", "[a-fA-F0-9]{32}", 2.0),
    token("shopify-shared-secret", "a Shopify secret", "shpss_", "[a-fA-F0-9]{32}", 2.0),
    token("slack-app-token", "a Slack app token", "xapp-", "[0-9]-[A-Z0-9]+-[0-9]+-[a-z0-9]+", 2.0),
    token("slack-bot-token", "a Slack bot token", "xoxb-",
        "[0-9]{8,14}-(?:[0-9]{10,13}[a-zA-Z0-9-]{1,250}|[a-zA-Z0-9]{18,26})", 3.0),
    token("slack-config-refresh-token", "a Slack token", "xoxe-", "[0-9]-[a-zA-Z0-9]{146}", 2.0),
    token("slack-legacy-token", "a Slack token", "xoxo-|xoxs-", "[0-9]+-[0-9]+-[0-9]+-[a-fA-F0-9]+", 2.0),
    token("slack-legacy-workspace-token", "a Slack token", "xoxa-|xoxr-", "(?:[0-9]-)?[0-9a-zA-Z]{8,48}", 3.0),
    token("slack-user-token", "a Slack user token", "xoxp-", "(?:[0-9]{10,13}-){3}[a-zA-Z0-9-]{28,34}", 2.0),
    token("slack-webhook-url", "a Slack webhook", "hooks.slack.com/",
        "(?:services|workflows|triggers)/[A-Za-z0-9+/]{43,56}", 3.5),
    token("square-access-token", "a Square token", "sq0atp-", r"[\w-]{22,60}", 2.0),
    token("stripe-access-token", "a Stripe live key", "sk_live_|sk_prod_|rk_live_|rk_prod_", "[a-zA-Z0-9]{10,99}", 3.0),
    token("vault-batch-token", "a Vault token", "hvb.", r"[\w-]{138,300}", 4.0),
    token("vault-service-token", "a Vault token", "hvs.", r"[\w-]{90,120}", 3.5),
];
