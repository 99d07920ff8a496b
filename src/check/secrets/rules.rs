//! The rules: a subset of the default configuration of gitleaks v8.30.1 (MIT), by its ids, with the meaning of its
//! patterns and its least entropies. Pure.
//!
//! Taken are the rules for secrets that have a form of their own, so that a page which talks about a service is no
//! finding. Left out are those that know a secret by the words around it (but one), for documentation is full of such
//! words; those of test keys; and those of keys without power. Two differ: a key of Google's that browsers use is public
//! by design, and a JSON Web Token mostly is a sample, so both are told only where neither is likely, and as warnings.
//!
//! A pattern is tried only where its literal stands, and what it finds must stand alone: no letter, digit or `_` before
//! and behind it. So patterns need no ends. None may run over its own literal without a bound: in a text that repeats the
//! literal it would read the rest of the text each time. (`jwt` would, and is tried once for each run of its characters.)

/// How a find is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// A token drawn by lot.
    Token,
    /// A token drawn by lot from small and capital letters and digits.
    Mixed,
    /// A key that code in a browser may hold.
    BrowserKey,
    /// A JSON Web Token.
    Jwt,
    /// The header of a private key in the PEM form.
    PrivateKey,
}

/// One rule.
#[derive(Debug)]
pub(super) struct Rule {
    /// Its id in the published set.
    pub id: &'static str,
    /// What it finds, with its article.
    pub what: &'static str,
    /// Texts, one of which stands in every find.
    pub literals: &'static [&'static str],
    /// How many bytes of the pattern stand before the literal.
    pub before: usize,
    /// The regular expression, for bytes; its first group is the secret, if it has one.
    pub pattern: &'static str,
    /// The least entropy of the secret, in bits a byte.
    pub entropy: f64,
    /// How a find is judged.
    pub shape: Shape,
    /// Whether it is a warning at most.
    pub may_be_public: bool,
}

const fn token(
    id: &'static str,
    what: &'static str,
    literals: &'static [&'static str],
    pattern: &'static str,
    entropy: f64,
) -> Rule {
    Rule {
        id,
        what,
        literals,
        before: 0,
        pattern,
        entropy,
        shape: Shape::Token,
        may_be_public: false,
    }
}

/// All rules, by id.
pub(super) const RULES: &[Rule] = &[
    token(
        "age-secret-key",
        "a secret key of age",
        &["AGE-SECRET-KEY-1"],
        "AGE-SECRET-KEY-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}",
        0.0,
    ),
    token(
        "anthropic-admin-api-key",
        "an admin key of Anthropic",
        &["sk-ant-admin01-"],
        r"sk-ant-admin01-[\w-]{93}AA",
        3.0,
    ),
    token(
        "anthropic-api-key",
        "a key of Anthropic",
        &["sk-ant-api03-"],
        r"sk-ant-api03-[\w-]{93}AA",
        3.0,
    ),
    token(
        "aws-access-token",
        "an access key of AWS",
        &["A3T", "AKIA", "ASIA", "ABIA", "ACCA"],
        "(?:A3T[A-Z0-9]|AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}",
        3.0,
    ),
    Rule {
        before: 4,
        ..token(
            "azure-ad-client-secret",
            "a client secret of Azure",
            &["Q~"],
            r"[\w~.]{3}[0-9]Q~[\w~.-]{31,34}",
            3.0,
        )
    },
    Rule {
        shape: Shape::Mixed,
        ..token(
            "cloudflare-api-key",
            "a token of Cloudflare",
            &["cloudflare", "Cloudflare", "CLOUDFLARE"],
            r#"(?i:cloudflare)[ \t\w.-]{0,20}(?:[\s'"\\]|&quot;){0,3}(?:=|>|:{1,3}=|\|\||:|=>|\?=|,)(?:[\x60'"\\\s=]|&quot;){0,5}([\w-]{40})(?:[^\w-]|$)"#,
            3.5,
        )
    },
    token(
        "cloudflare-origin-ca-key",
        "an origin key of Cloudflare",
        &["v1.0-"],
        "v1[.]0-[a-f0-9]{24}-[a-f0-9]{146}",
        2.0,
    ),
    token(
        "databricks-api-token",
        "a token of Databricks",
        &["dapi"],
        "dapi[a-f0-9]{32}(?:-[0-9])?",
        3.0,
    ),
    token(
        "digitalocean-access-token",
        "a token of DigitalOcean",
        &["doo_v1_"],
        "doo_v1_[a-f0-9]{64}",
        3.0,
    ),
    token(
        "digitalocean-pat",
        "a token of DigitalOcean",
        &["dop_v1_"],
        "dop_v1_[a-f0-9]{64}",
        3.0,
    ),
    token(
        "digitalocean-refresh-token",
        "a token of DigitalOcean",
        &["dor_v1_"],
        "dor_v1_[a-f0-9]{64}",
        3.0,
    ),
    token(
        "doppler-api-token",
        "a token of Doppler",
        &["dp.pt."],
        "dp[.]pt[.][a-zA-Z0-9]{43}",
        2.0,
    ),
    Rule {
        shape: Shape::BrowserKey,
        may_be_public: true,
        ..token("gcp-api-key", "a key of Google Cloud", &["AIza"], r"AIza[\w-]{35}", 4.0)
    },
    token(
        "github-app-token",
        "a token of a GitHub app",
        &["ghu_", "ghs_"],
        "gh[us]_[0-9a-zA-Z]{36}",
        3.0,
    ),
    token(
        "github-fine-grained-pat",
        "a token of GitHub",
        &["github_pat_"],
        r"github_pat_\w{82}",
        3.0,
    ),
    token(
        "github-oauth",
        "a token of GitHub",
        &["gho_"],
        "gho_[0-9a-zA-Z]{36}",
        3.0,
    ),
    token("github-pat", "a token of GitHub", &["ghp_"], "ghp_[0-9a-zA-Z]{36}", 3.0),
    token(
        "github-refresh-token",
        "a token of GitHub",
        &["ghr_"],
        "ghr_[0-9a-zA-Z]{36}",
        3.0,
    ),
    token(
        "gitlab-cicd-job-token",
        "a job token of GitLab",
        &["glcbt-"],
        r"glcbt-[0-9a-zA-Z]{1,5}_[\w-]{20}",
        3.0,
    ),
    token(
        "gitlab-deploy-token",
        "a deploy token of GitLab",
        &["gldt-"],
        r"gldt-[\w-]{20}",
        3.0,
    ),
    token(
        "gitlab-feed-token",
        "a feed token of GitLab",
        &["glft-"],
        r"glft-[\w-]{20}",
        3.0,
    ),
    token(
        "gitlab-incoming-mail-token",
        "a mail token of GitLab",
        &["glimt-"],
        r"glimt-[\w-]{25}",
        3.0,
    ),
    token(
        "gitlab-kubernetes-agent-token",
        "an agent's token of GitLab",
        &["glagent-"],
        r"glagent-[\w-]{50}",
        3.0,
    ),
    token(
        "gitlab-oauth-app-secret",
        "a secret of an app of GitLab",
        &["gloas-"],
        r"gloas-[\w-]{64}",
        3.0,
    ),
    token(
        "gitlab-pat",
        "a token of GitLab",
        &["glpat-"],
        r"glpat-(?:[\w-]{27,300}[.][0-9a-z]{9}|[\w-]{20})",
        3.0,
    ),
    token(
        "gitlab-ptt",
        "a trigger token of GitLab",
        &["glptt-"],
        "glptt-[0-9a-f]{40}",
        3.0,
    ),
    token(
        "gitlab-rrt",
        "a runner's token of GitLab",
        &["GR1348941"],
        r"GR1348941[\w-]{20}",
        3.0,
    ),
    token(
        "gitlab-runner-authentication-token",
        "a runner's token of GitLab",
        &["glrt-"],
        r"glrt-(?:t[0-9]_[\w-]{27,300}[.][0-9a-z]{9}|[\w-]{20})",
        3.0,
    ),
    token(
        "gitlab-scim-token",
        "a token of GitLab",
        &["glsoat-"],
        r"glsoat-[\w-]{20}",
        3.0,
    ),
    token(
        "grafana-cloud-api-token",
        "a token of Grafana",
        &["glc_"],
        "glc_[A-Za-z0-9+/]{32,400}={0,3}",
        3.0,
    ),
    token(
        "grafana-service-account-token",
        "a token of Grafana",
        &["glsa_"],
        "glsa_[A-Za-z0-9]{32}_[A-Fa-f0-9]{8}",
        3.0,
    ),
    Rule {
        before: 14,
        ..token(
            "hashicorp-tf-api-token",
            "a token of Terraform",
            &[".atlasv1."],
            r"[a-zA-Z0-9]{14}[.]atlasv1[.][\w=-]{60,70}",
            3.5,
        )
    },
    token(
        "heroku-api-key-v2",
        "a key of Heroku",
        &["HRKU-AA"],
        r"HRKU-AA[\w-]{58}",
        4.0,
    ),
    token(
        "huggingface-access-token",
        "a token of Hugging Face",
        &["hf_"],
        "hf_[a-zA-Z]{34}",
        3.0,
    ),
    Rule {
        shape: Shape::Jwt,
        may_be_public: true,
        ..token(
            "jwt",
            "a JSON Web Token",
            &["eyJ"],
            r"eyJ[\w-]{14,}[.]eyJ[\w-]{14,}[.][\w-]{10,}",
            3.0,
        )
    },
    token(
        "linear-api-key",
        "a key of Linear",
        &["lin_api_"],
        "lin_api_[a-zA-Z0-9]{40}",
        2.0,
    ),
    token(
        "microsoft-teams-webhook",
        "a webhook of Microsoft Teams",
        &[".webhook.office.com/webhookb2/"],
        r"[.]webhook[.]office[.]com/webhookb2/([a-z0-9@-]{73}/IncomingWebhook/[a-z0-9]{32}/[a-z0-9-]{36})",
        3.0,
    ),
    token(
        "notion-api-token",
        "a token of Notion",
        &["ntn_"],
        "ntn_[0-9]{11}[A-Za-z0-9]{35}",
        4.0,
    ),
    token(
        "npm-access-token",
        "a token of npm",
        &["npm_"],
        "npm_[a-zA-Z0-9]{36}",
        3.0,
    ),
    Rule {
        before: 23,
        ..token(
            "openai-api-key",
            "a key of OpenAI",
            &["T3BlbkFJ"],
            "sk-[a-zA-Z0-9]{20}T3BlbkFJ[a-zA-Z0-9]{20}",
            3.0,
        )
    },
    token(
        "openai-api-key",
        "a key of OpenAI",
        &["sk-proj-", "sk-svcacct-", "sk-admin-"],
        r"sk-(?:proj|svcacct|admin)-(?:[\w-]{74}|[\w-]{58})T3BlbkFJ(?:[\w-]{74}|[\w-]{58})",
        3.0,
    ),
    token(
        "perplexity-api-key",
        "a key of Perplexity",
        &["pplx-"],
        "pplx-[a-zA-Z0-9]{48}",
        4.0,
    ),
    token(
        "planetscale-api-token",
        "a token of PlanetScale",
        &["pscale_tkn_"],
        r"pscale_tkn_[\w=.-]{32,64}",
        3.0,
    ),
    token(
        "planetscale-oauth-token",
        "a token of PlanetScale",
        &["pscale_oauth_"],
        r"pscale_oauth_[\w=.-]{32,64}",
        3.0,
    ),
    token(
        "planetscale-password",
        "a password of PlanetScale",
        &["pscale_pw_"],
        r"pscale_pw_[\w=.-]{32,64}",
        3.0,
    ),
    token(
        "postman-api-token",
        "a token of Postman",
        &["PMAK-"],
        "PMAK-[a-fA-F0-9]{24}-[a-fA-F0-9]{34}",
        3.0,
    ),
    Rule {
        shape: Shape::PrivateKey,
        ..token(
            "private-key",
            "a private key",
            &["-----BEGIN"],
            "-----BEGIN[ A-Z0-9_-]{0,100}PRIVATE KEY(?: BLOCK)?-----",
            0.0,
        )
    },
    token(
        "pulumi-api-token",
        "a token of Pulumi",
        &["pul-"],
        "pul-[a-f0-9]{40}",
        2.0,
    ),
    token(
        "pypi-upload-token",
        "a token of PyPI",
        &["pypi-AgEIcHlwaS5vcmc"],
        r"pypi-AgEIcHlwaS5vcmc[\w-]{50,1000}",
        3.0,
    ),
    token(
        "readme-api-token",
        "a token of ReadMe",
        &["rdme_"],
        "rdme_[a-z0-9]{70}",
        2.0,
    ),
    token(
        "rubygems-api-token",
        "a token of RubyGems",
        &["rubygems_"],
        "rubygems_[a-f0-9]{48}",
        2.0,
    ),
    token(
        "sendgrid-api-token",
        "a token of SendGrid",
        &["SG."],
        r"SG[.][\w=.-]{66}",
        3.0,
    ),
    token(
        "sendinblue-api-token",
        "a token of Brevo",
        &["xkeysib-"],
        "xkeysib-[a-f0-9]{64}-[a-zA-Z0-9]{16}",
        2.0,
    ),
    token(
        "sentry-org-token",
        "a token of Sentry",
        &["sntrys_eyJpYXQiO"],
        "sntrys_eyJpYXQiO[a-zA-Z0-9+/]{30,400}={0,2}_[a-zA-Z0-9+/]{43}",
        4.5,
    ),
    token(
        "sentry-user-token",
        "a token of Sentry",
        &["sntryu_"],
        "sntryu_[a-f0-9]{64}",
        3.5,
    ),
    token(
        "shopify-access-token",
        "a token of Shopify",
        &["shpat_"],
        "shpat_[a-fA-F0-9]{32}",
        2.0,
    ),
    token(
        "shopify-custom-access-token",
        "a token of Shopify",
        &["shpca_"],
        "shpca_[a-fA-F0-9]{32}",
        2.0,
    ),
    token(
        "shopify-private-app-access-token",
        "a token of Shopify",
        &["shppa_"],
        "shppa_[a-fA-F0-9]{32}",
        2.0,
    ),
    token(
        "shopify-shared-secret",
        "a secret of Shopify",
        &["shpss_"],
        "shpss_[a-fA-F0-9]{32}",
        2.0,
    ),
    token(
        "slack-app-token",
        "an app's token of Slack",
        &["xapp-"],
        "xapp-[0-9]-[A-Z0-9]+-[0-9]+-[a-z0-9]+",
        2.0,
    ),
    token(
        "slack-bot-token",
        "a bot's token of Slack",
        &["xoxb-"],
        r"xoxb-[0-9]{8,14}-(?:[0-9]{10,13}[a-zA-Z0-9-]{1,250}|[a-zA-Z0-9]{18,26})",
        3.0,
    ),
    token(
        "slack-config-refresh-token",
        "a token of Slack",
        &["xoxe-"],
        "xoxe-[0-9]-[a-zA-Z0-9]{146}",
        2.0,
    ),
    token(
        "slack-legacy-token",
        "a token of Slack",
        &["xoxo-", "xoxs-"],
        "xox[os]-[0-9]+-[0-9]+-[0-9]+-[a-fA-F0-9]+",
        2.0,
    ),
    token(
        "slack-legacy-workspace-token",
        "a token of Slack",
        &["xoxa-", "xoxr-"],
        "xox[ar]-(?:[0-9]-)?[0-9a-zA-Z]{8,48}",
        3.0,
    ),
    token(
        "slack-user-token",
        "a user's token of Slack",
        &["xoxp-"],
        "xoxp(?:-[0-9]{10,13}){3}-[a-zA-Z0-9-]{28,34}",
        2.0,
    ),
    token(
        "slack-webhook-url",
        "a webhook of Slack",
        &["hooks.slack.com/"],
        "hooks[.]slack[.]com/(?:services|workflows|triggers)/[A-Za-z0-9+/]{43,56}",
        3.5,
    ),
    token(
        "square-access-token",
        "a token of Square",
        &["sq0atp-"],
        r"sq0atp-[\w-]{22,60}",
        2.0,
    ),
    token(
        "stripe-access-token",
        "a live key of Stripe",
        &["sk_live_", "sk_prod_", "rk_live_", "rk_prod_"],
        "[sr]k_(?:live|prod)_[a-zA-Z0-9]{10,99}",
        3.0,
    ),
    token(
        "vault-batch-token",
        "a token of Vault",
        &["hvb."],
        r"hvb[.][\w-]{138,300}",
        4.0,
    ),
    token(
        "vault-service-token",
        "a token of Vault",
        &["hvs."],
        r"hvs[.][\w-]{90,120}",
        3.5,
    ),
];
