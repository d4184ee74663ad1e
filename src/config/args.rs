//! The flags as `clap` has them: names, variables, defaults, help. What they
//! mean together is in the settings.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr};

use clap::builder::FalseyValueParser;
use clap::{ArgAction, Parser};

use super::values::{
    Period, Time, domain, lease, log_filter, nonempty, period, scheme, tags, target_type, time,
    vpc_id, zone_id,
};
use crate::model::spec::{Scheme, Tags, TargetType};
use crate::telemetry::{LogFilter, LogFormat};

const AWS: &str = "AWS";
const KUBERNETES: &str = "Kubernetes";
const DEFAULTS: &str = "Defaults of annotations";
const DNS: &str = "DNS";
const VERIFICATION: &str = "Verification in the background";
const RUNNING: &str = "Running it";

/// Turns Ingresses into Application Load Balancers and Route 53 records.
///
/// Inside a cluster it needs CLUSTER_NAME or --cluster-name; outside it needs
/// KUBECONFIG, AWS_REGION and CLUSTER_NAME in the environment and no flag. AWS credentials
/// come from the environment, a web identity, the container or the instance;
/// AWS_ENDPOINT_URL is honoured. /metrics, /healthz and /readyz are served on
/// one port.
#[derive(Debug, Parser)]
#[command(
    name = "alb-ingress-controller",
    version,
    next_line_help = true,
    // A flag given again wins, as it does with aws-load-balancer-controller.
    args_override_self = true
)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) aws: AwsArgs,
    #[command(flatten)]
    pub(super) kubernetes: KubernetesArgs,
    #[command(flatten)]
    pub(super) defaults: DefaultArgs,
    #[command(flatten)]
    pub(super) dns: DnsArgs,
    #[command(flatten)]
    pub(super) verification: VerificationArgs,
    #[command(flatten)]
    pub(super) running: RunningArgs,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = AWS)]
pub(super) struct AwsArgs {
    /// Name of the cluster: part of the names and tags of all that is made.
    /// Required; it cannot be changed later.
    #[arg(long, env = "CLUSTER_NAME", value_name = "NAME", value_parser = nonempty)]
    pub(super) cluster_name: Option<String>,

    /// Region of the load balancers [default: AWS_DEFAULT_REGION, the profile,
    /// or instance metadata].
    #[arg(long, env = "AWS_REGION", value_name = "REGION")]
    pub(super) aws_region: Option<String>,

    /// VPC of the cluster [default: from instance metadata, else from the
    /// instance of a Node].
    #[arg(long, env = "AWS_VPC_ID", value_name = "VPC", value_parser = vpc_id)]
    pub(super) aws_vpc_id: Option<String>,

    /// Log each AWS call: service, operation, request id, milliseconds,
    /// outcome. No secret is logged.
    #[arg(long, env = "AWS_DEBUG", value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1,
          default_value = "false", default_missing_value = "true", require_equals = true,
          value_parser = FalseyValueParser::new())]
    pub(super) aws_debug: bool,

    /// Keep to the request rates that AWS allows an account, so that others in
    /// it are not throttled. Switch it off only where AWS has no limits, as in
    /// the sandbox.
    #[arg(long, env = "ALB_INGRESS_AWS_RATE_LIMITS", value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1,
          default_value = "true", default_missing_value = "true", require_equals = true,
          value_parser = FalseyValueParser::new())]
    pub(super) aws_rate_limits: bool,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = KUBERNETES)]
pub(super) struct KubernetesArgs {
    /// Kubeconfig file, or several as in KUBECONFIG [default: the Pod's
    /// ServiceAccount, else ~/.kube/config].
    #[arg(long, env = "KUBECONFIG", value_name = "FILE")]
    pub(super) kubeconfig: Option<OsString>,

    /// Value of the annotation kubernetes.io/ingress.class that is ours. Empty:
    /// `alb`, and Ingresses without any class. IngressClasses are ours by their
    /// controller `ingress.k8s.aws/alb`, whatever their name. A second
    /// controller in the cluster needs another value, and another cluster name.
    #[arg(
        long,
        env = "ALB_INGRESS_CLASS",
        value_name = "CLASS",
        default_value = "alb"
    )]
    pub(super) ingress_class: String,

    /// Watch one namespace only [default: all].
    #[arg(long, env = "ALB_INGRESS_WATCH_NAMESPACE", value_name = "NAMESPACE")]
    pub(super) watch_namespace: Option<String>,

    /// Namespace of the leader election's Lease [default: POD_NAMESPACE, else
    /// kube-system].
    #[arg(
        long,
        env = "ALB_INGRESS_LEADER_ELECTION_NAMESPACE",
        value_name = "NAMESPACE"
    )]
    pub(super) leader_election_namespace: Option<String>,

    /// Name of the leader election's Lease.
    #[arg(
        long,
        env = "ALB_INGRESS_LEADER_ELECTION_ID",
        value_name = "NAME",
        default_value = "alb-ingress-controller-leader",
        value_parser = nonempty
    )]
    pub(super) leader_election_id: String,

    /// How long the Lease holds after its last renewal; for tests.
    #[arg(long, env = "ALB_INGRESS_LEADER_ELECTION_LEASE", value_name = "TIME", default_value = "15s",
          value_parser = lease, hide = true)]
    pub(super) leader_election_lease: Time,

    /// Namespace that the controller runs in.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE", hide = true)]
    pub(super) pod_namespace: Option<String>,

    /// Name of the controller's Pod, for the Lease and events.
    #[arg(long, env = "POD_NAME", value_name = "NAME", hide = true)]
    pub(super) pod_name: Option<String>,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = DEFAULTS)]
#[allow(clippy::struct_field_names)] // The flags have the prefix.
pub(super) struct DefaultArgs {
    /// Scheme of load balancers whose Ingresses state none.
    #[arg(long, env = "ALB_INGRESS_DEFAULT_LOAD_BALANCER_SCHEME", value_name = "SCHEME",
          default_value = "internal", value_parser = scheme)]
    pub(super) default_load_balancer_scheme: Scheme,

    /// Target type of Services that state none: instance or ip.
    #[arg(long, env = "ALB_INGRESS_DEFAULT_TARGET_TYPE", value_name = "TYPE",
          default_value = "instance", value_parser = target_type)]
    pub(super) default_target_type: TargetType,

    /// Security policy of HTTPS listeners that state none.
    #[arg(
        long,
        env = "ALB_INGRESS_DEFAULT_SSL_POLICY",
        value_name = "POLICY",
        default_value = "ELBSecurityPolicy-2016-08",
        value_parser = nonempty
    )]
    pub(super) default_ssl_policy: String,

    /// Tags of every AWS resource, as key=value,key=value. They win over tags
    /// of annotations.
    #[arg(long, env = "ALB_INGRESS_DEFAULT_TAGS", value_name = "TAGS", default_value = "", value_parser = tags)]
    pub(super) default_tags: Tags,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = DNS)]
pub(super) struct DnsArgs {
    /// Write no Route 53 record and read no zone.
    #[arg(long, env = "DISABLE_ROUTE53", value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1,
          default_value = "false", default_missing_value = "true", require_equals = true,
          value_parser = FalseyValueParser::new())]
    pub(super) disable_route53: bool,

    /// Only records of these domains and below, comma separated [default: all].
    #[arg(long, env = "ALB_INGRESS_DNS_DOMAIN_FILTER", value_name = "DOMAINS", value_delimiter = ',',
          value_parser = domain)]
    pub(super) dns_domain_filter: Vec<String>,

    /// Only hosted zones with these ids, comma separated [default: all].
    #[arg(long, env = "ALB_INGRESS_DNS_ZONE_ID_FILTER", value_name = "IDS", value_delimiter = ',',
          value_parser = zone_id)]
    pub(super) dns_zone_id_filter: Vec<String>,

    /// How long a load balancer, or the rules of an Ingress that leaves its
    /// group, outlive the removal of their records, so that resolvers can
    /// forget them. How far that is, is not kept over a restart: a process that
    /// starts while an Ingress is on its way out and finds its record gone
    /// waits once for this time and for what Route 53 needs to spread a change
    /// (as long again, at most 60 s).
    #[arg(long, env = "ALB_INGRESS_DNS_DELETE_GRACE", value_name = "TIME", default_value = "60s",
          value_parser = time)]
    pub(super) dns_delete_grace: Time,
}

/// Times of what is read again to find what others changed.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = VERIFICATION)]
#[allow(clippy::struct_field_names)] // The flags have the prefix.
pub(super) struct VerificationArgs {
    /// How often all load balancers, target groups and security groups are
    /// listed again, to find what others deleted or changed of them, with their
    /// health checks, subnets and inbound rules; 0 or off: never. At least 1s,
    /// as all times here; the first time no sooner than 5 minutes after the
    /// start. What AWS has refused is tried again after this time too, after 5
    /// minutes where it is off.
    #[arg(long, env = "ALB_INGRESS_VERIFY_INTERVAL", value_name = "TIME", default_value = "5m",
          value_parser = period)]
    pub(super) verify_interval: Period,

    /// How often the tags of load balancers, listeners, rules and target groups
    /// are listed again; 0 or off: never. Needs tag:GetResources; without it,
    /// those of load balancers and target groups are read 20 at a time.
    #[arg(long, env = "ALB_INGRESS_VERIFY_TAGS_INTERVAL", value_name = "TIME", default_value = "1h",
          value_parser = period)]
    pub(super) verify_tags_interval: Period,

    /// In which time the listeners, rules and certificates of every group are
    /// read again, one group after the other and evenly spread; 0 or off: never.
    #[arg(long, env = "ALB_INGRESS_VERIFY_RULES_INTERVAL", value_name = "TIME", default_value = "10h",
          value_parser = period)]
    pub(super) verify_rules_interval: Period,

    /// In which time the targets of every target group are read again, one
    /// after the other and evenly spread; 0 or off: never. Those of one that
    /// the controller has changed are read a minute later, 8 minutes after that
    /// and once more after an hour.
    #[arg(long, env = "ALB_INGRESS_VERIFY_TARGETS_INTERVAL", value_name = "TIME", default_value = "10h",
          value_parser = period)]
    pub(super) verify_targets_interval: Period,

    /// How often the VPC, its subnets, their zones and routes are read again, of
    /// which load balancers choose; 0 or off: never.
    #[arg(long, env = "ALB_INGRESS_VERIFY_NETWORK_INTERVAL", value_name = "TIME", default_value = "10m",
          value_parser = period)]
    pub(super) verify_network_interval: Period,

    /// In which time the DNS records of every host are read again, evenly
    /// spread; 0 or off: never.
    #[arg(long, env = "ALB_INGRESS_VERIFY_RECORDS_INTERVAL", value_name = "TIME", default_value = "10m",
          value_parser = period)]
    pub(super) verify_records_interval: Period,

    /// How long after the start AWS is read again in the background for the
    /// first time; for tests.
    #[arg(long, env = "ALB_INGRESS_FIRST_VERIFICATION", value_name = "TIME", default_value = "5m",
          value_parser = time, hide = true)]
    pub(super) first_verification: Time,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = RUNNING)]
pub(super) struct RunningArgs {
    /// Print what would be done in AWS and exit: 0 when nothing, 2 when
    /// something, 1 on error. Nothing is written, neither to AWS nor to
    /// Kubernetes.
    #[arg(long, env = "ALB_INGRESS_DRY_RUN", value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1,
          default_value = "false", default_missing_value = "true", require_equals = true,
          value_parser = FalseyValueParser::new())]
    pub(super) dry_run: bool,

    /// Address that /metrics, /healthz and /readyz are served on.
    #[arg(long, env = "ALB_INGRESS_BIND_ADDRESS", value_name = "ADDRESS",
          default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED))]
    pub(super) bind_address: IpAddr,

    /// Port of /metrics, /healthz and /readyz; 0 takes a free one.
    #[arg(
        long,
        env = "ALB_INGRESS_PORT",
        value_name = "PORT",
        default_value_t = 8080
    )]
    pub(super) port: u16,

    /// Load balancer groups worked on at the same time.
    #[arg(long, env = "ALB_INGRESS_MAX_CONCURRENT_RECONCILES", value_name = "N", default_value_t = 10,
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(super) ingress_max_concurrent_reconciles: u16,

    /// What is logged: error, warn, info, debug, trace, off, or directives
    /// such as info,alb_ingress_controller=debug.
    #[arg(
        long,
        env = "LOG_LEVEL",
        value_name = "LEVEL",
        default_value = "info",
        value_parser = log_filter
    )]
    pub(super) log_level: LogFilter,

    /// How it is logged.
    #[arg(
        long,
        env = "ALB_INGRESS_LOG_FORMAT",
        value_name = "FORMAT",
        value_enum,
        default_value = "text"
    )]
    pub(super) log_format: LogFormat,
}
