//! A finding: the kind of fault in a response, its severity, its fix, and the command that repeats the request. Pure.

use std::fmt;

use super::alias::AliasFault;
use super::cdn;
use super::question::{Accept, Question, Subject};
use crate::model::encoding::Coding;
use crate::model::path::printable;
use crate::model::severity::Severity;
use crate::rules::headers::DEPLOYMENT;

/// The server that was requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The host itself, under the site's name.
    Origin,
    /// The public address, as a visitor requests it.
    Public,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Origin => "origin",
            Self::Public => "public",
        })
    }
}

/// How a body differs from what was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// It is the content of the previous release.
    Former,
    /// It can't be decoded.
    Undecodable(String),
    /// It was rewritten in transit by a feature that left its mark.
    Rewritten(&'static cdn::CdnFeature),
    /// It is a text that a CDN made shorter, by this number of bytes.
    Shortened(u64),
    /// It differs in some other form.
    Other,
}

/// What is wrong with a response, or with the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flaw {
    /// There is no response.
    NoAnswer(String),
    /// The status is wrong.
    Status {
        /// The expected status.
        want: u16,
        /// The actual status.
        got: u16,
    },
    /// The CDN got no answer from the origin.
    EdgeError(u16),
    /// The CDN challenges the visitor to prove that they are human.
    Challenged,
    /// A file that does not exist is answered with a page and status 200.
    PageForMissing,
    /// The content is different.
    Bytes(Difference),
    /// The content type is wrong.
    Type {
        /// The expected type.
        want: String,
        /// The actual type.
        got: Option<String>,
    },
    /// The cache header is wrong.
    Cache {
        /// The expected value.
        want: &'static str,
        /// The actual value.
        got: Option<String>,
    },
    /// The response does not tell Next.js's client that the client is of the live deployment.
    Deployment {
        /// The deployment of the release.
        want: String,
        /// The deployment that the response names.
        got: Option<String>,
    },
    /// An error response is cached, or may be.
    KeptError(String),
    /// The response lacks an encoding that exists on the host.
    NoEncoding(Coding),
    /// The response has no `ETag`, so it can't be revalidated.
    NoEtag,
    /// Browsers reject the certificate.
    Certificate(String),
    /// The certificate expires soon, in this number of days.
    CertificateEnds(i64),
    /// The server speaks only HTTP/1.1.
    NoHttp2,
    /// Plain HTTP does not redirect to HTTPS.
    NotRedirected(u16),
    /// Another name of the site does not lead to it.
    Alias {
        /// The name.
        name: String,
        /// What it does.
        fault: AliasFault,
    },
}

impl Flaw {
    /// A short name of the kind, for scripts and for comparisons.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoAnswer(_) => "no-answer",
            Self::Status { .. } => "status",
            Self::EdgeError(_) => "edge-error",
            Self::Challenged => "challenged",
            Self::PageForMissing => "page-for-missing",
            Self::Bytes(Difference::Former) => "former-bytes",
            Self::Bytes(Difference::Rewritten(_) | Difference::Shortened(_)) => "rewritten",
            Self::Bytes(_) => "bytes",
            Self::Type { .. } => "type",
            Self::Cache { .. } => "cache",
            Self::Deployment { .. } => "deployment",
            Self::KeptError(_) => "kept-error",
            Self::NoEncoding(_) => "encoding",
            Self::NoEtag => "etag",
            Self::Certificate(_) => "certificate",
            Self::CertificateEnds(_) => "certificate-ends",
            Self::NoHttp2 => "http2",
            Self::NotRedirected(_) => "redirect",
            Self::Alias { .. } => "alias",
        }
    }

    /// How severe the flaw is.
    pub const fn severity(&self) -> Severity {
        match self {
            Self::NoEncoding(_)
            | Self::NoEtag
            | Self::CertificateEnds(_)
            | Self::NoHttp2
            | Self::NotRedirected(_)
            | Self::Alias { .. } => Severity::Warning,
            Self::Bytes(Difference::Rewritten(rewriter)) if rewriter.is_harmless => Severity::Warning,
            _ => Severity::Error,
        }
    }

    /// Whether there was no response, or a response other than the requested file.
    pub const fn is_another_answer(&self) -> bool {
        matches!(
            self,
            Self::NoAnswer(_)
                | Self::Status { .. }
                | Self::EdgeError(_)
                | Self::Challenged
                | Self::PageForMissing
                | Self::Bytes(_)
        )
    }

    /// Whether the flaw is an error in the response itself, which the release may have caused.
    pub const fn is_of_the_release(&self) -> bool {
        matches!(self.severity(), Severity::Error)
            && !matches!(
                self,
                Self::NoAnswer(_)
                    | Self::Certificate(_)
                    | Self::EdgeError(_)
                    | Self::Challenged
                    | Self::Deployment { .. }
            )
    }
}

/// A flaw, and where it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The server that was requested.
    pub side: Side,
    /// The question. `None` if the finding is about the connection.
    pub question: Option<Question>,
    /// What is wrong.
    pub flaw: Flaw,
    /// What the CDN reports about its cache, if it does.
    pub cached: Option<String>,
    /// Whether a CDN answered.
    pub by_cdn: bool,
    /// The command line that repeats the request.
    pub repeat: String,
}

impl Finding {
    /// The path that was requested, or `/` for a finding about the connection. After another name of the site, if that was
    /// asked.
    pub fn path(&self) -> String {
        let name = match &self.flaw {
            Flaw::Alias { name, .. } => name,
            _ => "",
        };
        let target = self.question.as_ref().map_or("/", |question| question.target.as_str());
        printable(&format!("{name}{target}"))
    }

    /// How severe the finding is.
    pub fn severity(&self) -> Severity {
        self.flaw.severity()
    }

    /// Describes what is wrong, in one line.
    pub fn message(&self) -> String {
        let asked = self.question.as_ref().map_or("", |question| match question.accept {
            Accept::Plain | Accept::Browser => "",
            Accept::Gzip => " (gzip)",
            Accept::Brotli => " (br)",
        });
        let said = match &self.flaw {
            Flaw::NoAnswer(detail) => detail.clone(),
            Flaw::Status { want, got } => format!("answers {got} instead of {want}"),
            Flaw::EdgeError(status) => format!("the CDN answers {status}: {}", cdn::cause(*status)),
            Flaw::Challenged => "the CDN challenges the visitor instead of answering".to_owned(),
            Flaw::PageForMissing => {
                "a file that does not exist is answered with a page and 200: browsers take it for the file".to_owned()
            }
            Flaw::Bytes(difference) => different(difference, self.cached.as_deref()),
            Flaw::Type { want, got } => format!("its type is {}, not {want}", or_none(got.as_ref())),
            Flaw::Cache { want, got } => format!("Cache-Control is {}, not \"{want}\"", quoted(got.as_ref())),
            Flaw::Deployment { want, got } => format!(
                "{DEPLOYMENT} is {}, not \"{}\": each click loads the whole page",
                quoted(got.as_ref()),
                printable(want)
            ),
            Flaw::KeptError(how) => format!("an error is kept: {}", printable(how)),
            Flaw::NoEncoding(coding) => format!("comes without the {coding} encoding that is on the host"),
            Flaw::NoEtag => "has no ETag, so it is sent again each time".to_owned(),
            Flaw::Certificate(fault) => fault.clone(),
            Flaw::CertificateEnds(days) => format!("the certificate ends in {days} days"),
            Flaw::NoHttp2 => "speaks HTTP/1.1 and not HTTP/2".to_owned(),
            Flaw::NotRedirected(status) => format!("plain HTTP answers {status} instead of redirecting to HTTPS"),
            Flaw::Alias { fault, .. } => fault.message(),
        };
        format!("{said}{asked}")
    }

    /// What the user can do about it.
    pub fn fix(&self) -> &'static str {
        if self.by_cdn && self.side == Side::Public {
            return fix_behind_cdn(&self.flaw);
        }
        match &self.flaw {
            Flaw::NoAnswer(_) => "see whether the server runs, and whether a firewall lets port and address through",
            Flaw::Status { want: 200, got: 403 } => {
                "let nginx's user enter every folder from / to the docroot and read what is in it"
            }
            Flaw::Status { want: 404, got: 200 } if self.is_removed() => {
                "see whether the vhost's root is `current` of this docroot, and not a folder of its own"
            }
            Flaw::Status { .. } => {
                "see whether the vhost is the one that `syntax-publish nginx` prints for this site and target, and reload nginx"
            }
            Flaw::PageForMissing => {
                "remove what answers every address with a page (`try_files … /index.html`): print the vhost with `syntax-publish nginx`"
            }
            Flaw::EdgeError(_) | Flaw::Challenged => "see the CDN's own page of its errors",
            Flaw::Bytes(Difference::Former) => {
                "see whether the vhost's root is `current` of this docroot, and that no cache (open_file_cache, proxy_cache) is in front"
            }
            Flaw::Bytes(Difference::Undecodable(_)) => {
                "`syntax-publish verify --deep` shows whether the file on the host is intact"
            }
            Flaw::Bytes(_) => {
                "see whether the vhost's root is `current` of this docroot, and that nothing in nginx changes answers (sub_filter, gzip, ssi)"
            }
            Flaw::Type { .. } => {
                "print the vhost again with `syntax-publish nginx`, whose types are the site's, and reload nginx"
            }
            Flaw::Cache { .. } | Flaw::KeptError(_) | Flaw::NoEtag => {
                "print the vhost again with `syntax-publish nginx`, and see that nothing at nginx's http level (expires, add_header) overrides it"
            }
            Flaw::Deployment { .. } => {
                "print the vhost again with `syntax-publish nginx`: it names the deployment of whichever release is live"
            }
            Flaw::NoEncoding(Coding::Brotli) => {
                "load ngx_http_brotli_static_module and print the vhost without --without-brotli; or set `brotli = false` in [encode]"
            }
            Flaw::NoEncoding(Coding::Gzip) => {
                "print the vhost again with `syntax-publish nginx`: it has `gzip_static on`"
            }
            Flaw::Certificate(_) | Flaw::CertificateEnds(_) => {
                "renew the certificate (`certbot renew`) and reload nginx; the vhost's ssl_certificate must be the full chain for the site's name"
            }
            Flaw::NoHttp2 => {
                "set `nginx-version` of the target to what `nginx -v` prints on the host, and print the vhost again with `syntax-publish nginx`"
            }
            Flaw::NotRedirected(_) => "let port 80 answer with `return 308 https://…`, as the printed vhost does",
            Flaw::Alias { fault, .. } => fault.fix(),
        }
    }

    /// Whether the question was about a file that the release no longer has.
    pub(super) fn is_removed(&self) -> bool {
        self.question
            .as_ref()
            .is_some_and(|question| matches!(question.subject, Subject::Removed(_)))
    }
}

fn or_none(got: Option<&String>) -> String {
    got.map_or_else(|| "missing".to_owned(), |got| printable(got))
}

fn quoted(got: Option<&String>) -> String {
    got.map_or_else(|| "missing".to_owned(), |got| format!("\"{}\"", printable(got)))
}

fn different(difference: &Difference, cached: Option<&str>) -> String {
    let cached = cached.map_or_else(String::new, |cached| format!(" ({cached})"));
    match difference {
        Difference::Former => format!("still has the bytes of the previous release{cached}"),
        Difference::Undecodable(why) => format!("can't be decoded: {}", printable(why)),
        Difference::Rewritten(rewriter) => format!("was rewritten on the way: {}", rewriter.name),
        Difference::Shortened(by) => format!("was made {by} bytes shorter on the way: something minifies it"),
        Difference::Other => format!("has other bytes than were published{cached}"),
    }
}

/// What the user can do about a flaw in a response that came through the CDN.
fn fix_behind_cdn(flaw: &Flaw) -> &'static str {
    match flaw {
        Flaw::NoAnswer(_) => "see whether the DNS record of the name leads to the CDN, and whether it is proxied",
        Flaw::EdgeError(522 | 523) => {
            "compare the DNS record's address with the host's own, and let the CDN's addresses through to ports 80 and 443"
        }
        Flaw::EdgeError(525 | 526) => {
            "give the origin a certificate for this name (Let's Encrypt, or a Cloudflare origin certificate), and reload nginx"
        }
        Flaw::EdgeError(_) => "check the origin itself: `syntax-publish verify --live`",
        Flaw::Challenged => {
            "let this tool's requests through: a WAF custom rule with the action Skip, for its User-Agent or address"
        }
        Flaw::Bytes(Difference::Former) => {
            "purge it (Caching > Configuration > Purge), or let publish do so: zone and token-env in [cloudflare]; a Cache Rule that ignores the origin's Cache-Control keeps pages for its own time"
        }
        Flaw::Bytes(Difference::Rewritten(rewriter)) => rewriter.setting,
        Flaw::Bytes(Difference::Shortened(_)) => {
            "switch off what minifies HTML, CSS or JavaScript on the way (Auto Minify, a Worker, an optimisation add-on): hydration fails"
        }
        Flaw::Bytes(_) => {
            "see whether a Worker, a Snippet or a Transform Rule of the CDN changes it; if the origin serves it so, too, fix it there"
        }
        Flaw::Cache { .. } => {
            "set Caching > Configuration > Browser Cache TTL to \"Respect Existing Headers\", and see that no Cache Rule sets a Browser TTL: readers would keep the old page for that long"
        }
        Flaw::KeptError(_) => {
            "take out the Cache Rule or Edge TTL by status that keeps errors: a chunk that was missing for a moment would stay missing"
        }
        Flaw::Status { want: 404, .. } | Flaw::PageForMissing => {
            "purge it, and see that no Worker or Redirect Rule answers for what is not there"
        }
        Flaw::Status { .. } => "see whether a Redirect Rule, a Worker or the WAF answers in place of the origin",
        Flaw::Deployment { .. } => {
            "see whether a Transform Rule or a Worker removes `x-deployment-id` from requests or `x-nextjs-deployment-id` from answers, and that pages are not cached"
        }
        Flaw::Type { .. } => "see whether a Transform Rule or a Worker changes the type; then purge it",
        Flaw::Certificate(_) | Flaw::CertificateEnds(_) => {
            "see SSL/TLS > Edge Certificates: Universal SSL covers the apex and one level below it"
        }
        Flaw::NoHttp2 => "switch on Speed > Settings > Protocol Optimization > HTTP/2",
        Flaw::NotRedirected(_) => "switch on SSL/TLS > Edge Certificates > Always Use HTTPS",
        Flaw::Alias { fault, .. } => fault.fix(),
        Flaw::NoEncoding(_) | Flaw::NoEtag => "see whether the CDN changes the answer on its way",
    }
}
