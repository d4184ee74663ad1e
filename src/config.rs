//! Flags and environment to settings: domain types, checked, with messages
//! that say what to do.
//!
//! Flags that aws-load-balancer-controller has keep its names. Each flag can
//! be given in the environment too; the flag wins. Variables that others have
//! a use for as well (`PORT`, `DRY_RUN`) would be set by accident in a Pod, so
//! all but the well-known ones begin with `ALB_INGRESS_`.

mod args;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _};

use self::args::{
    Args, AwsArgs, DefaultArgs, DnsArgs, KubernetesArgs, RunningArgs, VerificationArgs,
};
use crate::model::settings::{DnsSettings, Settings as ModelSettings};
use crate::observe::Periods;
use crate::telemetry::{LogFilter, LogFormat};

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
    /// Whether each AWS call is logged.
    pub aws_debug: bool,
    /// Whether AWS is asked no more often than it allows.
    pub aws_rate_limits: bool,
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
    pub verification: Periods,
    /// In which time DNS records are read again in the background; `None`:
    /// never.
    pub verify_records: Option<Duration>,
    /// How long after the start that begins.
    pub first_verification: Duration,
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
                    aws_debug,
                    aws_rate_limits,
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
            verification:
                VerificationArgs {
                    verify_interval,
                    verify_tags_interval,
                    verify_rules_interval,
                    verify_targets_interval,
                    verify_network_interval,
                    verify_records_interval,
                    first_verification,
                },
            running:
                RunningArgs {
                    dry_run,
                    bind_address,
                    port,
                    ingress_max_concurrent_reconciles,
                    log_level,
                    log_format,
                },
        } = self;
        // An empty variable is one that is not set, as in a manifest with a
        // value left out.
        let given = |value: Option<String>| value.filter(|value| !value.is_empty());
        let cluster_name = given(cluster_name).ok_or(
            "the name of the cluster is missing; set CLUSTER_NAME or --cluster-name to the name \
             that the tags of its AWS resources have",
        )?;
        if disable_route53 && !(dns_domain_filter.is_empty() && dns_zone_id_filter.is_empty()) {
            return Err(
                "--disable-route53 writes no record, so --dns-domain-filter and \
                 --dns-zone-id-filter have no meaning; leave them out"
                    .to_owned(),
            );
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
            aws_debug,
            aws_rate_limits,
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
            verification: Periods {
                fast: verify_interval.0,
                tag: verify_tags_interval.0,
                slow: verify_rules_interval.0,
                target: verify_targets_interval.0,
                network: verify_network_interval.0,
            },
            verify_records: verify_records_interval.0,
            first_verification: first_verification.0,
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
        let given = matches.try_contains_id(id).is_ok_and(|_| {
            matches
                .value_source(id)
                .is_some_and(|source| source != ValueSource::DefaultValue)
        });
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::model::spec::{Scheme, TargetType};

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
        let standard = Periods {
            fast: Some(Duration::from_mins(5)),
            tag: Some(Duration::from_hours(1)),
            slow: Some(Duration::from_hours(10)),
            target: Some(Duration::from_hours(10)),
            network: Some(Duration::from_mins(10)),
        };
        assert_eq!(settings.verification, standard);
        assert_eq!(settings.verify_records, Some(Duration::from_mins(10)));
        assert_eq!(settings.first_verification, Duration::from_mins(5));
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
        assert_eq!(tags, [("cost", "1"), ("team", "web")]);
        assert_eq!(settings.model.default_scheme, Scheme::InternetFacing);
        assert_eq!(settings.model.default_target_type, TargetType::Ip);
        let dns = settings.model.dns.unwrap();
        assert!(dns.domain_filter.contains("example.org"));
        assert!(dns.zone_id_filter.contains("Z1"));
        assert_eq!(settings.dns_delete_grace, Duration::ZERO);
        assert_eq!(settings.verification.fast, Some(Duration::from_mins(90)));
        let often = parse(&["--verify-interval=2s"]).unwrap();
        assert_eq!(often.first_verification, Duration::from_mins(5));
        let soon = parse(&["--first-verification=2s"]).unwrap();
        assert_eq!(soon.first_verification, Duration::from_secs(2));
        let never = parse(&[
            "--verify-interval=0",
            "--verify-tags-interval=off",
            "--verify-rules-interval=0s",
            "--verify-targets-interval=off",
            "--verify-network-interval=off",
            "--verify-records-interval=off",
        ])
        .unwrap();
        let tiers = never.verification;
        let all = [
            tiers.fast,
            tiers.tag,
            tiers.slow,
            tiers.target,
            tiers.network,
        ];
        assert_eq!(all, [None; 5]);
        assert_eq!(never.verify_records, None);
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

    /// Variables without the prefix: those of 2017, and those that mean the
    /// same to everyone.
    const WELL_KNOWN: [&str; 9] = [
        "AWS_DEBUG",
        "AWS_REGION",
        "AWS_VPC_ID",
        "CLUSTER_NAME",
        "DISABLE_ROUTE53",
        "KUBECONFIG",
        "LOG_LEVEL",
        "POD_NAME",
        "POD_NAMESPACE",
    ];

    #[test]
    fn every_flag_has_a_group_an_environment_variable_and_a_sentence() {
        let command = Args::command();
        for argument in command.get_arguments() {
            let id = argument.get_id();
            assert!(argument.get_help_heading().is_some(), "{id}");
            assert!(argument.get_help().is_some(), "{id}");
            let variable = argument.get_env().unwrap().to_str().unwrap();
            assert!(
                variable.starts_with("ALB_INGRESS_") || WELL_KNOWN.contains(&variable),
                "{variable} may be set by accident"
            );
        }
        command.debug_assert();
        let table = flags_markdown();
        let row = "| `--dns-delete-grace` | `ALB_INGRESS_DNS_DELETE_GRACE` | `60s` | How long";
        assert!(table.contains(row), "{table}");
        assert!(table.contains("**Kubernetes**"), "{table}");
        assert!(!table.contains("pod-name"), "{table}");
        assert!(!table.contains("first-verification"), "{table}");
    }
}
