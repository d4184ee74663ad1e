//! Flags and environment to settings: domain types, checked, with messages
//! that say what to do.
//!
//! Flags that aws-load-balancer-controller has keep its names. Each flag can
//! be given in the environment too; the flag wins.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, CommandFactory as _, FromArgMatches as _, Parser};

use crate::model::settings::{DnsSettings, Settings as ModelSettings};
use crate::model::spec::{Scheme, Tags, TargetType};
use crate::telemetry::{LogFilter, LogFormat};

const AWS: &str = "AWS";
const KUBERNETES: &str = "Kubernetes";
const DEFAULTS: &str = "Defaults of annotations";
const DNS: &str = "DNS";
const RUNNING: &str = "Running it";

/// Turns Ingresses into Application Load Balancers and Route 53 records.
///
/// Inside a cluster it needs --cluster-name; outside it needs KUBECONFIG,
/// AWS_REGION and CLUSTER_NAME in the environment and no flag. AWS credentials
/// come from the environment, a web identity, the container or the instance;
/// AWS_ENDPOINT_URL is honoured. /metrics, /healthz and /readyz are served on
/// one port.
#[derive(Debug, Parser)]
#[command(name = "alb-ingress-controller", version, next_line_help = true)]
struct Args {
    #[command(flatten)]
    aws: AwsArgs,
    #[command(flatten)]
    kubernetes: KubernetesArgs,
    #[command(flatten)]
    defaults: DefaultArgs,
    #[command(flatten)]
    dns: DnsArgs,
    #[command(flatten)]
    running: RunningArgs,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = AWS)]
struct AwsArgs {
    /// Name of the cluster: part of the names and tags of all that is made.
    /// It cannot be changed later.
    #[arg(long, env = "CLUSTER_NAME", value_name = "NAME", value_parser = nonempty)]
    cluster_name: String,

    /// Region of the load balancers [default: AWS_DEFAULT_REGION, the profile,
    /// or instance metadata].
    #[arg(long, env = "AWS_REGION", value_name = "REGION")]
    aws_region: Option<String>,

    /// VPC of the cluster [default: from instance metadata, else from the
    /// instance of a Node].
    #[arg(long, env = "AWS_VPC_ID", value_name = "VPC", value_parser = vpc_id)]
    aws_vpc_id: Option<String>,

    /// Attempts of one AWS call before it counts as failed.
    #[arg(long, env = "AWS_MAX_RETRIES", value_name = "N", default_value_t = 10,
          value_parser = clap::value_parser!(u32).range(1..=100))]
    aws_max_retries: u32,

    /// Log each AWS call: service, operation, request id, milliseconds,
    /// outcome. No secret is logged.
    #[arg(long, env = "AWS_DEBUG", value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1,
          default_value = "false", default_missing_value = "true", require_equals = true,
          value_parser = FalseyValueParser::new())]
    aws_debug: bool,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = KUBERNETES)]
struct KubernetesArgs {
    /// Kubeconfig file, or several as in KUBECONFIG [default: the Pod's
    /// ServiceAccount, else ~/.kube/config].
    #[arg(long, env = "KUBECONFIG", value_name = "FILE")]
    kubeconfig: Option<OsString>,

    /// Value of the annotation kubernetes.io/ingress.class that is ours. Empty:
    /// `alb`, and Ingresses without any class. IngressClasses are ours by their
    /// controller `ingress.k8s.aws/alb`, whatever their name.
    #[arg(
        long,
        env = "INGRESS_CLASS",
        value_name = "CLASS",
        default_value = "alb"
    )]
    ingress_class: String,

    /// Watch one namespace only [default: all].
    #[arg(long, env = "WATCH_NAMESPACE", value_name = "NAMESPACE")]
    watch_namespace: Option<String>,

    /// Namespace of the leader election's Lease [default: POD_NAMESPACE, else
    /// kube-system].
    #[arg(long, env = "LEADER_ELECTION_NAMESPACE", value_name = "NAMESPACE")]
    leader_election_namespace: Option<String>,

    /// Name of the leader election's Lease.
    #[arg(
        long,
        env = "LEADER_ELECTION_ID",
        value_name = "NAME",
        default_value = "alb-ingress-controller-leader",
        value_parser = nonempty
    )]
    leader_election_id: String,

    /// Namespace that the controller runs in.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE", hide = true)]
    pod_namespace: Option<String>,

    /// Name of the controller's Pod, for the Lease and events.
    #[arg(long, env = "POD_NAME", value_name = "NAME", hide = true)]
    pod_name: Option<String>,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = DEFAULTS)]
struct DefaultArgs {
    /// Scheme of load balancers whose Ingresses state none.
    #[arg(long, env = "DEFAULT_LOAD_BALANCER_SCHEME", value_name = "SCHEME",
          default_value = "internal", value_parser = scheme)]
    default_load_balancer_scheme: Scheme,

    /// Target type of Services that state none: instance or ip.
    #[arg(long, env = "DEFAULT_TARGET_TYPE", value_name = "TYPE",
          default_value = "instance", value_parser = target_type)]
    default_target_type: TargetType,

    /// Security policy of HTTPS listeners that state none.
    #[arg(
        long,
        env = "DEFAULT_SSL_POLICY",
        value_name = "POLICY",
        default_value = "ELBSecurityPolicy-2016-08",
        value_parser = nonempty
    )]
    default_ssl_policy: String,

    /// Tags of every AWS resource, as key=value,key=value. They win over tags
    /// of annotations.
    #[arg(long, env = "DEFAULT_TAGS", value_name = "TAGS", default_value = "", value_parser = tags)]
    default_tags: Tags,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = DNS)]
struct DnsArgs {
    /// Write no Route 53 record and read no zone.
    #[arg(long, env = "DISABLE_ROUTE53", value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1,
          default_value = "false", default_missing_value = "true", require_equals = true,
          value_parser = FalseyValueParser::new())]
    disable_route53: bool,

    /// Only records of these domains and below, comma separated [default: all].
    #[arg(long, env = "DNS_DOMAIN_FILTER", value_name = "DOMAINS", value_delimiter = ',',
          value_parser = domain)]
    dns_domain_filter: Vec<String>,

    /// Only hosted zones with these ids, comma separated [default: all].
    #[arg(long, env = "DNS_ZONE_ID_FILTER", value_name = "IDS", value_delimiter = ',',
          value_parser = zone_id)]
    dns_zone_id_filter: Vec<String>,

    /// How long a load balancer outlives the removal of its records, so that
    /// resolvers can forget them.
    #[arg(long, env = "DNS_DELETE_GRACE", value_name = "TIME", default_value = "60s",
          value_parser = time)]
    dns_delete_grace: Time,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = RUNNING)]
struct RunningArgs {
    /// Print what would be done in AWS and exit: 0 when nothing, 2 when
    /// something, 1 on error. Nothing is written, neither to AWS nor to
    /// Kubernetes.
    #[arg(long, env = "DRY_RUN", value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1,
          default_value = "false", default_missing_value = "true", require_equals = true,
          value_parser = FalseyValueParser::new())]
    dry_run: bool,

    /// Address that /metrics, /healthz and /readyz are served on.
    #[arg(long, env = "BIND_ADDRESS", value_name = "ADDRESS",
          default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED))]
    bind_address: IpAddr,

    /// Port of /metrics, /healthz and /readyz; 0 takes a free one.
    #[arg(long, env = "PORT", value_name = "PORT", default_value_t = 8080)]
    port: u16,

    /// How often what AWS holds is read again in the background, to find what
    /// others changed; the first time after one interval.
    #[arg(long, env = "VERIFY_INTERVAL", value_name = "TIME", default_value = "10m",
          value_parser = time)]
    verify_interval: Time,

    /// Load balancer groups worked on at the same time.
    #[arg(long, env = "INGRESS_MAX_CONCURRENT_RECONCILES", value_name = "N", default_value_t = 10,
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    ingress_max_concurrent_reconciles: u16,

    /// What is logged: error, warn, info, debug, trace, off, or directives
    /// such as info,alb_ingress_controller=debug.
    #[arg(
        long,
        env = "LOG_LEVEL",
        value_name = "LEVEL",
        default_value = "info",
        value_parser = log_filter
    )]
    log_level: LogFilter,

    /// How it is logged.
    #[arg(
        long,
        env = "LOG_FORMAT",
        value_name = "FORMAT",
        value_enum,
        default_value = "text"
    )]
    log_format: LogFormat,
}

/// All settings of the process, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What decisions depend on. Its VPC is empty until [`Settings::vpc_id`]
    /// was resolved.
    pub model: ModelSettings,
    /// Region; `None` leaves it to the SDK's chain.
    pub region: Option<String>,
    /// The VPC; `None` leaves it to instance metadata or a Node's instance.
    pub vpc_id: Option<String>,
    /// Attempts of one AWS call.
    pub aws_attempts: u32,
    /// Whether each AWS call is logged.
    pub aws_debug: bool,
    /// Kubeconfig files, as in KUBECONFIG; `None` leaves it to the usual places.
    pub kubeconfig: Option<OsString>,
    /// The one namespace that is watched; `None` watches all.
    pub watch_namespace: Option<String>,
    /// The leader election's Lease.
    pub lease: LeaseName,
    /// What this process is called in the Lease and in events: its Pod, else
    /// its host.
    pub instance: String,
    /// How long a load balancer outlives its records.
    pub dns_delete_grace: Duration,
    /// Whether nothing is written.
    pub dry_run: bool,
    /// Where metrics and health are served.
    pub listen: SocketAddr,
    /// How often AWS is read again in the background.
    pub verify_interval: Duration,
    /// Groups worked on at the same time.
    pub concurrency: usize,
    /// What is logged.
    pub log_filter: LogFilter,
    /// How it is logged.
    pub log_format: LogFormat,
    /// Flags that differ from their defaults, with their values.
    changed: BTreeMap<String, String>,
}

/// Namespace and name of the Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for Settings {
    /// The settings that differ from their defaults, for the first log line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (flag, value) in &self.changed {
            write!(f, "{separator}--{flag}={value}")?;
            separator = " ";
        }
        Ok(())
    }
}

impl Settings {
    /// Settings from a command line (with the program's name first) and the
    /// environment. The error prints itself, as help and version do.
    pub fn parse<I>(arguments: I) -> Result<Self, clap::Error>
    where
        I: IntoIterator<Item = OsString>,
    {
        let matches = Args::command().try_get_matches_from(arguments)?;
        let args = Args::from_arg_matches(&matches)?;
        let changed = changed(&matches);
        args.into_settings(changed).map_err(|message| {
            Args::command().error(clap::error::ErrorKind::ValueValidation, message)
        })
    }
}

impl Args {
    /// Checks what one flag alone cannot tell. Destructures everything, so
    /// that a new flag cannot be forgotten.
    fn into_settings(self, changed: BTreeMap<String, String>) -> Result<Settings, String> {
        let Self {
            aws:
                AwsArgs {
                    cluster_name,
                    aws_region,
                    aws_vpc_id,
                    aws_max_retries,
                    aws_debug,
                },
            kubernetes:
                KubernetesArgs {
                    kubeconfig,
                    ingress_class,
                    watch_namespace,
                    leader_election_namespace,
                    leader_election_id,
                    pod_namespace,
                    pod_name,
                },
            defaults:
                DefaultArgs {
                    default_load_balancer_scheme,
                    default_target_type,
                    default_ssl_policy,
                    default_tags,
                },
            dns:
                DnsArgs {
                    disable_route53,
                    dns_domain_filter,
                    dns_zone_id_filter,
                    dns_delete_grace,
                },
            running:
                RunningArgs {
                    dry_run,
                    bind_address,
                    port,
                    verify_interval,
                    ingress_max_concurrent_reconciles,
                    log_level,
                    log_format,
                },
        } = self;
        // An empty variable is one that is not set, as in a manifest with a
        // value left out.
        let given = |value: Option<String>| value.filter(|value| !value.is_empty());
        if disable_route53 && !(dns_domain_filter.is_empty() && dns_zone_id_filter.is_empty()) {
            return Err(
                "--disable-route53 writes no record, so --dns-domain-filter and \
                 --dns-zone-id-filter have no meaning; leave them out"
                    .to_owned(),
            );
        }
        if verify_interval.0 < Duration::from_secs(1) {
            return Err(format!(
                "--verify-interval={verify_interval} is too short; expected at least 1s"
            ));
        }
        let dns = (!disable_route53).then(|| DnsSettings {
            domain_filter: dns_domain_filter.into_iter().collect::<BTreeSet<_>>(),
            zone_id_filter: dns_zone_id_filter.into_iter().collect::<BTreeSet<_>>(),
        });
        Ok(Settings {
            model: ModelSettings {
                cluster_name,
                vpc_id: given(aws_vpc_id.clone()).unwrap_or_default(),
                ingress_class,
                default_scheme: default_load_balancer_scheme,
                default_target_type,
                default_ssl_policy,
                default_tags,
                dns,
            },
            region: given(aws_region),
            vpc_id: given(aws_vpc_id),
            aws_attempts: aws_max_retries,
            aws_debug,
            kubeconfig: kubeconfig.filter(|files| !files.is_empty()),
            watch_namespace: given(watch_namespace),
            lease: LeaseName {
                namespace: given(leader_election_namespace)
                    .or(given(pod_namespace))
                    .unwrap_or_else(|| "kube-system".to_owned()),
                name: leader_election_id,
            },
            instance: given(pod_name).unwrap_or_else(host_name),
            dns_delete_grace: dns_delete_grace.0,
            dry_run,
            listen: SocketAddr::new(bind_address, port),
            verify_interval: verify_interval.0,
            concurrency: usize::from(ingress_max_concurrent_reconciles),
            log_filter: log_level,
            log_format,
            changed,
        })
    }
}

/// Flags whose value is not the default one.
fn changed(matches: &ArgMatches) -> BTreeMap<String, String> {
    let command = Args::command();
    let mut changed = BTreeMap::new();
    for argument in command.get_arguments() {
        let id = argument.get_id().as_str();
        let given = matches
            .try_contains_id(id)
            .is_ok_and(|_| matches.value_source(id).is_some_and(|source| source != ValueSource::DefaultValue));
        if let (true, Some(flag), Ok(Some(values))) =
            (given, argument.get_long(), matches.try_get_raw(id))
        {
            let values: Vec<_> = values.map(|value| value.to_string_lossy()).collect();
            let defaults: Vec<_> = argument
                .get_default_values()
                .iter()
                .map(|value| value.to_string_lossy())
                .collect();
            if values != defaults {
                changed.insert(flag.to_owned(), values.join(","));
            }
        }
    }
    changed
}

/// What the host calls itself; in a Pod that is the Pod's name.
fn host_name() -> String {
    std::env::var("HOSTNAME")
        .ok()
        .or_else(|| std::fs::read_to_string("/etc/hostname").ok())
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "alb-ingress-controller".to_owned())
}

/// The table of flags for the README, in Markdown.
pub fn flags_markdown() -> String {
    use fmt::Write as _;

    let command = Args::command();
    let mut tables: Vec<(String, String)> = Vec::new();
    for argument in command.get_arguments() {
        let (Some(flag), false) = (argument.get_long(), argument.is_hide_set()) else {
            continue;
        };
        let Some(heading) = argument.get_help_heading() else {
            continue;
        };
        let env = argument
            .get_env()
            .map(|name| format!("`{}`", name.to_string_lossy()))
            .unwrap_or_default();
        let default = argument
            .get_default_values()
            .iter()
            .map(|value| value.to_string_lossy().into_owned())
            .filter(|value| !value.is_empty())
            .map(|value| format!("`{value}`"))
            .collect::<Vec<_>>()
            .join(", ");
        let help = argument
            .get_help()
            .map(|help| help.to_string().replace('\n', " ").replace('|', "\\|"))
            .unwrap_or_default();
        let row = format!("| `--{flag}` | {env} | {default} | {help} |\n");
        match tables.iter_mut().find(|(name, _)| name == heading) {
            Some((_, rows)) => rows.push_str(&row),
            None => tables.push((heading.to_owned(), row)),
        }
    }
    let mut text = String::new();
    for (heading, rows) in tables {
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "**{heading}**\n\n| Flag | Environment | Default | Meaning |\n|---|---|---|---|\n{rows}\n"
        );
    }
    text
}

/// A length of time, written as `90s`, `10m`, `1h30m` or `0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Time(Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.0.as_secs_f64())
    }
}

fn time(text: &str) -> Result<Time, String> {
    if text == "0" {
        return Ok(Time(Duration::ZERO));
    }
    text.parse::<jiff::SignedDuration>()
        .ok()
        .and_then(|duration| Duration::try_from(duration).ok())
        .map(Time)
        .ok_or_else(|| "expected a length of time such as 90s, 10m, 1h30m or 0".to_owned())
}

fn nonempty(text: &str) -> Result<String, String> {
    if text.is_empty() {
        Err("it must not be empty".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

fn vpc_id(text: &str) -> Result<String, String> {
    // Empty is not set: see `given` above.
    if text.is_empty() || text.starts_with("vpc-") {
        Ok(text.to_owned())
    } else {
        Err("expected an id such as vpc-0123456789abcdef0".to_owned())
    }
}

fn scheme(text: &str) -> Result<Scheme, String> {
    [Scheme::Internal, Scheme::InternetFacing]
        .into_iter()
        .find(|scheme| scheme.as_str() == text)
        .ok_or_else(|| "expected internal or internet-facing".to_owned())
}

fn target_type(text: &str) -> Result<TargetType, String> {
    [TargetType::Instance, TargetType::Ip]
        .into_iter()
        .find(|target_type| target_type.as_str() == text)
        .ok_or_else(|| "expected instance or ip".to_owned())
}

fn log_filter(text: &str) -> Result<LogFilter, String> {
    let text = if text.is_empty() { "info" } else { text };
    text.parse()
        .map_err(|error: crate::telemetry::LogFilterError| error.to_string())
}

fn domain(text: &str) -> Result<String, String> {
    let domain = text.trim().trim_matches('.').to_ascii_lowercase();
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if domain.is_empty() || !domain.chars().all(allowed) {
        Err("expected a domain such as example.org".to_owned())
    } else {
        Ok(domain)
    }
}

fn zone_id(text: &str) -> Result<String, String> {
    let id = text.trim().trim_start_matches("/hostedzone/");
    if id.is_empty() || !id.chars().all(|c| c.is_ascii_alphanumeric()) {
        Err("expected the id of a hosted zone such as Z0123456789ABCDEFGHIJ".to_owned())
    } else {
        Ok(id.to_owned())
    }
}

/// `key=value,key=value`.
fn tags(text: &str) -> Result<Tags, String> {
    const TRACKING: [&str; 3] = [
        "elbv2.k8s.aws/cluster",
        "ingress.k8s.aws/stack",
        "ingress.k8s.aws/resource",
    ];
    let mut tags = Tags::new();
    for pair in text.split(',').filter(|pair| !pair.trim().is_empty()) {
        let (key, value) = pair
            .split_once('=')
            .ok_or_else(|| format!("{pair:?} is no tag; expected key=value"))?;
        let (key, value) = (key.trim(), value.trim());
        if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
            return Err(format!(
                "{pair:?} is no tag; a key has 1 to 128 characters and a value at most 256"
            ));
        }
        if TRACKING.contains(&key) || key.starts_with("aws:") {
            return Err(format!(
                "the tag key {key} is reserved; choose another one"
            ));
        }
        if tags.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(format!("the tag key {key} is given twice"));
        }
    }
    Ok(tags)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Flags only: what the test's own environment holds must not matter, so
    /// everything that it could hold is given.
    fn parse(flags: &[&str]) -> Result<Settings, String> {
        let mut line = vec!["alb-ingress-controller", "--kubeconfig="];
        for (flag, value) in [
            ("--cluster-name", "demo"),
            ("--aws-region", "eu-west-1"),
            ("--aws-vpc-id", "vpc-1"),
            ("--log-level", "info"),
            ("--port", "8080"),
        ] {
            if !flags.iter().any(|given| given.starts_with(flag)) {
                line.extend([flag, value]);
            }
        }
        line.extend(flags);
        Settings::parse(line.into_iter().map(OsString::from)).map_err(|error| error.to_string())
    }

    #[test]
    fn defaults_are_those_of_the_peer() {
        let settings = parse(&[]).unwrap();
        assert_eq!(settings.model.ingress_class, "alb");
        assert_eq!(settings.model.default_scheme, Scheme::Internal);
        assert_eq!(settings.model.default_target_type, TargetType::Instance);
        assert_eq!(
            settings.model.default_ssl_policy,
            "ELBSecurityPolicy-2016-08"
        );
        assert_eq!(settings.model.dns, Some(DnsSettings::default()));
        assert_eq!(settings.dns_delete_grace, Duration::from_mins(1));
        assert_eq!(settings.verify_interval, Duration::from_mins(10));
        assert_eq!(settings.kubeconfig, None);
        assert!(!settings.dry_run && !settings.aws_debug);
    }

    #[test]
    fn flags_become_domain_types() {
        let settings = parse(&[
            "--default-tags=team=web, cost=1",
            "--default-load-balancer-scheme=internet-facing",
            "--default-target-type=ip",
            "--dns-domain-filter=Example.org.,other.test",
            "--dns-zone-id-filter=/hostedzone/Z1",
            "--dns-delete-grace=0",
            "--verify-interval=1h30m",
            "--bind-address=127.0.0.7",
            "--aws-debug",
            "--dry-run=false",
        ])
        .unwrap();
        let tags: Vec<_> = settings.model.default_tags.iter().collect();
        assert_eq!(tags, [(&"cost".into(), &"1".into()), (&"team".into(), &"web".into())]);
        assert_eq!(settings.model.default_scheme, Scheme::InternetFacing);
        assert_eq!(settings.model.default_target_type, TargetType::Ip);
        let dns = settings.model.dns.unwrap();
        assert!(dns.domain_filter.contains("example.org"));
        assert!(dns.zone_id_filter.contains("Z1"));
        assert_eq!(settings.dns_delete_grace, Duration::ZERO);
        assert_eq!(settings.verify_interval, Duration::from_mins(90));
        assert_eq!(settings.listen.to_string(), "127.0.0.7:8080");
        assert!(settings.aws_debug && !settings.dry_run);
    }

    #[test]
    fn mistakes_say_what_was_expected() {
        for (flags, expected) in [
            (&["--cluster-name="][..], "must not be empty"),
            (&["--aws-vpc-id=main"], "expected an id such as vpc-"),
            (&["--default-target-type=pod"], "expected instance or ip"),
            (&["--default-tags=a"], "expected key=value"),
            (&["--default-tags=ingress.k8s.aws/stack=x"], "is reserved"),
            (&["--default-tags=a=1,a=2"], "given twice"),
            (&["--verify-interval=10"], "such as 90s"),
            (&["--verify-interval=10ms"], "at least 1s"),
            (&["--log-level=loud"], "no log level"),
            (
                &["--disable-route53", "--dns-domain-filter=example.org"],
                "have no meaning",
            ),
            (&["--dns-zone-id-filter=Z-1"], "id of a hosted zone"),
        ] {
            let error = parse(flags).unwrap_err();
            assert!(error.contains(expected), "{flags:?} gave {error}");
        }
    }

    #[test]
    fn the_first_log_line_names_only_what_differs() {
        let settings = parse(&["--default-target-type=ip", "--ingress-class=alb"]).unwrap();
        let text = settings.to_string();
        assert!(text.contains("--cluster-name=demo"), "{text}");
        assert!(text.contains("--default-target-type=ip"), "{text}");
        assert!(!text.contains("ingress-class"), "{text}");
        assert!(!text.contains("port"), "{text}");
    }

    #[test]
    fn every_flag_has_a_group_an_environment_variable_and_a_sentence() {
        let command = Args::command();
        for argument in command.get_arguments() {
            let id = argument.get_id();
            assert!(argument.get_help_heading().is_some(), "{id}");
            assert!(argument.get_env().is_some(), "{id}");
            assert!(argument.get_help().is_some(), "{id}");
        }
        command.debug_assert();
        let table = flags_markdown();
        let row = "| `--dns-delete-grace` | `DNS_DELETE_GRACE` | `60s` | How long";
        assert!(table.contains(row), "{table}");
        assert!(table.contains("**Kubernetes**"), "{table}");
        assert!(!table.contains("pod-name"), "{table}");
    }
}
