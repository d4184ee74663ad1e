//! Names of the filters of the calls that have most of them, each with the path
//! into the answer of what it compares.

use super::filter::Known;

/// Filters of DescribeInstances; a path is in the instance, or in its
/// reservation for the three that are there.
pub(super) const INSTANCES: &Known = &[
    ("affinity", "placement/affinity"),
    ("architecture", "architecture"),
    ("availability-zone", "placement/availabilityZone"),
    ("availability-zone-id", "placement/availabilityZoneId"),
    (
        "block-device-mapping.attach-time",
        "blockDeviceMapping/ebs/attachTime",
    ),
    (
        "block-device-mapping.delete-on-termination",
        "blockDeviceMapping/ebs/deleteOnTermination",
    ),
    (
        "block-device-mapping.device-name",
        "blockDeviceMapping/deviceName",
    ),
    (
        "block-device-mapping.status",
        "blockDeviceMapping/ebs/status",
    ),
    (
        "block-device-mapping.volume-id",
        "blockDeviceMapping/ebs/volumeId",
    ),
    ("boot-mode", "bootMode"),
    ("capacity-reservation-id", "capacityReservationId"),
    (
        "capacity-reservation-specification.capacity-reservation-preference",
        "capacityReservationSpecification/capacityReservationPreference",
    ),
    (
        "capacity-reservation-specification.capacity-reservation-target.capacity-reservation-id",
        "capacityReservationSpecification/capacityReservationTarget/capacityReservationId",
    ),
    (
        "capacity-reservation-specification.capacity-reservation-target.capacity-reservation-resource-group-arn",
        "capacityReservationSpecification/capacityReservationTarget/capacityReservationResourceGroupArn",
    ),
    ("client-token", "clientToken"),
    ("current-instance-boot-mode", "currentInstanceBootMode"),
    ("dns-name", "dnsName"),
    ("ebs-optimized", "ebsOptimized"),
    ("ena-support", "enaSupport"),
    ("enclave-options.enabled", "enclaveOptions/enabled"),
    (
        "hibernation-options.configured",
        "hibernationOptions/configured",
    ),
    ("host-id", "placement/hostId"),
    ("hypervisor", "hypervisor"),
    ("iam-instance-profile.arn", "iamInstanceProfile/arn"),
    ("iam-instance-profile.id", "iamInstanceProfile/id"),
    ("image-id", "imageId"),
    ("instance-id", "instanceId"),
    ("instance-lifecycle", "instanceLifecycle"),
    ("instance-state-code", "instanceState/code"),
    ("instance-state-name", "instanceState/name"),
    ("instance-type", "instanceType"),
    ("instance.group-id", "groupSet/groupId"),
    ("instance.group-name", "groupSet/groupName"),
    ("ip-address", "ipAddress"),
    ("ipv6-address", "ipv6Address"),
    ("kernel-id", "kernelId"),
    ("key-name", "keyName"),
    ("launch-index", "amiLaunchIndex"),
    ("launch-time", "launchTime"),
    (
        "maintenance-options.auto-recovery",
        "maintenanceOptions/autoRecovery",
    ),
    (
        "metadata-options.http-endpoint",
        "metadataOptions/httpEndpoint",
    ),
    (
        "metadata-options.http-protocol-ipv4",
        "metadataOptions/httpProtocolIpv4",
    ),
    (
        "metadata-options.http-protocol-ipv6",
        "metadataOptions/httpProtocolIpv6",
    ),
    (
        "metadata-options.http-put-response-hop-limit",
        "metadataOptions/httpPutResponseHopLimit",
    ),
    ("metadata-options.http-tokens", "metadataOptions/httpTokens"),
    (
        "metadata-options.instance-metadata-tags",
        "metadataOptions/instanceMetadataTags",
    ),
    ("metadata-options.state", "metadataOptions/state"),
    ("monitoring-state", "monitoring/state"),
    (
        "network-interface.addresses.association.allocation-id",
        "networkInterfaceSet/privateIpAddressesSet/association/allocationId",
    ),
    (
        "network-interface.addresses.association.association-id",
        "networkInterfaceSet/privateIpAddressesSet/association/associationId",
    ),
    (
        "network-interface.addresses.association.carrier-ip",
        "networkInterfaceSet/privateIpAddressesSet/association/carrierIp",
    ),
    (
        "network-interface.addresses.association.customer-owned-ip",
        "networkInterfaceSet/privateIpAddressesSet/association/customerOwnedIp",
    ),
    (
        "network-interface.addresses.association.ip-owner-id",
        "networkInterfaceSet/privateIpAddressesSet/association/ipOwnerId",
    ),
    (
        "network-interface.addresses.association.public-dns-name",
        "networkInterfaceSet/privateIpAddressesSet/association/publicDnsName",
    ),
    (
        "network-interface.addresses.association.public-ip",
        "networkInterfaceSet/privateIpAddressesSet/association/publicIp",
    ),
    (
        "network-interface.addresses.primary",
        "networkInterfaceSet/privateIpAddressesSet/primary",
    ),
    (
        "network-interface.addresses.private-dns-name",
        "networkInterfaceSet/privateIpAddressesSet/privateDnsName",
    ),
    (
        "network-interface.addresses.private-ip-address",
        "networkInterfaceSet/privateIpAddressesSet/privateIpAddress",
    ),
    (
        "network-interface.association.allocation-id",
        "networkInterfaceSet/association/allocationId",
    ),
    (
        "network-interface.association.association-id",
        "networkInterfaceSet/association/associationId",
    ),
    (
        "network-interface.association.carrier-ip",
        "networkInterfaceSet/association/carrierIp",
    ),
    (
        "network-interface.association.customer-owned-ip",
        "networkInterfaceSet/association/customerOwnedIp",
    ),
    (
        "network-interface.association.ip-owner-id",
        "networkInterfaceSet/association/ipOwnerId",
    ),
    (
        "network-interface.association.public-dns-name",
        "networkInterfaceSet/association/publicDnsName",
    ),
    (
        "network-interface.association.public-ip",
        "networkInterfaceSet/association/publicIp",
    ),
    (
        "network-interface.attachment.attach-time",
        "networkInterfaceSet/attachment/attachTime",
    ),
    (
        "network-interface.attachment.attachment-id",
        "networkInterfaceSet/attachment/attachmentId",
    ),
    (
        "network-interface.attachment.delete-on-termination",
        "networkInterfaceSet/attachment/deleteOnTermination",
    ),
    (
        "network-interface.attachment.device-index",
        "networkInterfaceSet/attachment/deviceIndex",
    ),
    (
        "network-interface.attachment.instance-id",
        "networkInterfaceSet/attachment/instanceId",
    ),
    (
        "network-interface.attachment.instance-owner-id",
        "networkInterfaceSet/attachment/instanceOwnerId",
    ),
    (
        "network-interface.attachment.network-card-index",
        "networkInterfaceSet/attachment/networkCardIndex",
    ),
    (
        "network-interface.attachment.status",
        "networkInterfaceSet/attachment/status",
    ),
    (
        "network-interface.availability-zone",
        "networkInterfaceSet/availabilityZone",
    ),
    (
        "network-interface.deny-all-igw-traffic",
        "networkInterfaceSet/denyAllIgwTraffic",
    ),
    (
        "network-interface.description",
        "networkInterfaceSet/description",
    ),
    (
        "network-interface.group-id",
        "networkInterfaceSet/groupSet/groupId",
    ),
    (
        "network-interface.group-name",
        "networkInterfaceSet/groupSet/groupName",
    ),
    (
        "network-interface.ipv4-prefixes.ipv4-prefix",
        "networkInterfaceSet/ipv4PrefixSet/ipv4Prefix",
    ),
    (
        "network-interface.ipv6-address",
        "networkInterfaceSet/ipv6AddressesSet/ipv6Address",
    ),
    (
        "network-interface.ipv6-addresses.ipv6-address",
        "networkInterfaceSet/ipv6AddressesSet/ipv6Address",
    ),
    (
        "network-interface.ipv6-addresses.is-primary-ipv6",
        "networkInterfaceSet/ipv6AddressesSet/isPrimaryIpv6",
    ),
    (
        "network-interface.ipv6-native",
        "networkInterfaceSet/ipv6Native",
    ),
    (
        "network-interface.ipv6-prefixes.ipv6-prefix",
        "networkInterfaceSet/ipv6PrefixSet/ipv6Prefix",
    ),
    (
        "network-interface.mac-address",
        "networkInterfaceSet/macAddress",
    ),
    (
        "network-interface.network-interface-id",
        "networkInterfaceSet/networkInterfaceId",
    ),
    (
        "network-interface.operator.managed",
        "networkInterfaceSet/operator/managed",
    ),
    (
        "network-interface.operator.principal",
        "networkInterfaceSet/operator/principal",
    ),
    (
        "network-interface.outpost-arn",
        "networkInterfaceSet/outpostArn",
    ),
    ("network-interface.owner-id", "networkInterfaceSet/ownerId"),
    (
        "network-interface.private-dns-name",
        "networkInterfaceSet/privateDnsName",
    ),
    (
        "network-interface.private-ip-address",
        "networkInterfaceSet/privateIpAddress",
    ),
    (
        "network-interface.public-dns-name",
        "networkInterfaceSet/association/publicDnsName",
    ),
    (
        "network-interface.requester-id",
        "networkInterfaceSet/requesterId",
    ),
    (
        "network-interface.requester-managed",
        "networkInterfaceSet/requesterManaged",
    ),
    ("network-interface.status", "networkInterfaceSet/status"),
    (
        "network-interface.source-dest-check",
        "networkInterfaceSet/sourceDestCheck",
    ),
    (
        "network-interface.subnet-id",
        "networkInterfaceSet/subnetId",
    ),
    (
        "network-interface.tag-key",
        "networkInterfaceSet/tagSet/key",
    ),
    (
        "network-interface.tag-value",
        "networkInterfaceSet/tagSet/value",
    ),
    ("network-interface.vpc-id", "networkInterfaceSet/vpcId"),
    (
        "network-performance-options.bandwidth-weighting",
        "networkPerformanceOptions/bandwidthWeighting",
    ),
    ("operator.managed", "operator/managed"),
    ("operator.principal", "operator/principal"),
    ("outpost-arn", "outpostArn"),
    ("owner-id", "ownerId"),
    ("placement-group-name", "placement/groupName"),
    ("placement-partition-number", "placement/partitionNumber"),
    ("platform", "platform"),
    ("platform-details", "platformDetails"),
    ("private-dns-name", "privateDnsName"),
    (
        "private-dns-name-options.enable-resource-name-dns-a-record",
        "privateDnsNameOptions/enableResourceNameDnsARecord",
    ),
    (
        "private-dns-name-options.enable-resource-name-dns-aaaa-record",
        "privateDnsNameOptions/enableResourceNameDnsAAAARecord",
    ),
    (
        "private-dns-name-options.hostname-type",
        "privateDnsNameOptions/hostnameType",
    ),
    ("private-ip-address", "privateIpAddress"),
    ("product-code", "productCodes/productCode"),
    ("product-code.type", "productCodes/type"),
    ("ramdisk-id", "ramdiskId"),
    ("reason", "reason"),
    ("requester-id", "requesterId"),
    ("reservation-id", "reservationId"),
    ("root-device-name", "rootDeviceName"),
    ("root-device-type", "rootDeviceType"),
    ("source-dest-check", "sourceDestCheck"),
    ("spot-instance-request-id", "spotInstanceRequestId"),
    ("state-reason-code", "stateReason/code"),
    ("state-reason-message", "stateReason/message"),
    ("subnet-id", "subnetId"),
    ("tenancy", "placement/tenancy"),
    ("tpm-support", "tpmSupport"),
    ("usage-operation", "usageOperation"),
    ("usage-operation-update-time", "usageOperationUpdateTime"),
    ("virtualization-type", "virtualizationType"),
    ("vpc-id", "vpcId"),
    ("iam-instance-profile.name", "iamInstanceProfile/name"),
];

/// Filters of DescribeNetworkInterfaces.
pub(super) const INTERFACES: &Known = &[
    ("association.allocation-id", "association/allocationId"),
    ("association.association-id", "association/associationId"),
    (
        "addresses.association.owner-id",
        "privateIpAddressesSet/association/ipOwnerId",
    ),
    (
        "addresses.association.public-ip",
        "privateIpAddressesSet/association/publicIp",
    ),
    ("addresses.primary", "privateIpAddressesSet/primary"),
    (
        "addresses.private-ip-address",
        "privateIpAddressesSet/privateIpAddress",
    ),
    ("association.ip-owner-id", "association/ipOwnerId"),
    ("association.public-ip", "association/publicIp"),
    ("association.public-dns-name", "association/publicDnsName"),
    ("attachment.attach-time", "attachment/attachTime"),
    ("attachment.attachment-id", "attachment/attachmentId"),
    (
        "attachment.delete-on-termination",
        "attachment/deleteOnTermination",
    ),
    ("attachment.device-index", "attachment/deviceIndex"),
    ("attachment.instance-id", "attachment/instanceId"),
    ("attachment.instance-owner-id", "attachment/instanceOwnerId"),
    ("attachment.status", "attachment/status"),
    ("availability-zone", "availabilityZone"),
    ("availability-zone-id", "availabilityZoneId"),
    ("description", "description"),
    ("group-id", "groupSet/groupId"),
    (
        "ipv6-addresses.ipv6-address",
        "ipv6AddressesSet/ipv6Address",
    ),
    ("interface-type", "interfaceType"),
    ("mac-address", "macAddress"),
    ("network-interface-id", "networkInterfaceId"),
    ("operator.managed", "operator/managed"),
    ("operator.principal", "operator/principal"),
    ("owner-id", "ownerId"),
    ("private-dns-name", "privateDnsName"),
    ("private-ip-address", "privateIpAddress"),
    (
        "private-ip-address",
        "privateIpAddressesSet/privateIpAddress",
    ),
    ("requester-id", "requesterId"),
    ("requester-managed", "requesterManaged"),
    ("source-dest-check", "sourceDestCheck"),
    ("status", "status"),
    ("subnet-id", "subnetId"),
    ("vpc-id", "vpcId"),
    ("group-name", "groupSet/groupName"),
];

/// Filters of DescribeImages.
pub(super) const IMAGES: &Known = &[
    ("architecture", "architecture"),
    (
        "block-device-mapping.delete-on-termination",
        "blockDeviceMapping/ebs/deleteOnTermination",
    ),
    (
        "block-device-mapping.device-name",
        "blockDeviceMapping/deviceName",
    ),
    (
        "block-device-mapping.snapshot-id",
        "blockDeviceMapping/ebs/snapshotId",
    ),
    (
        "block-device-mapping.volume-size",
        "blockDeviceMapping/ebs/volumeSize",
    ),
    (
        "block-device-mapping.volume-type",
        "blockDeviceMapping/ebs/volumeType",
    ),
    (
        "block-device-mapping.encrypted",
        "blockDeviceMapping/ebs/encrypted",
    ),
    ("boot-mode", "bootMode"),
    ("creation-date", "creationDate"),
    ("description", "description"),
    ("ena-support", "enaSupport"),
    ("free-tier-eligible", "freeTierEligible"),
    ("hypervisor", "hypervisor"),
    ("image-allowed", "imageAllowed"),
    ("image-id", "imageId"),
    (
        "image-watermark.source-image-creation-time",
        "imageWatermark/sourceImageCreationTime",
    ),
    (
        "image-watermark.source-image-id",
        "imageWatermark/sourceImageId",
    ),
    (
        "image-watermark.source-image-region",
        "imageWatermark/sourceImageRegion",
    ),
    (
        "image-watermark.watermark-creation-time",
        "imageWatermark/watermarkCreationTime",
    ),
    (
        "image-watermark.watermark-key",
        "imageWatermark/watermarkKey",
    ),
    ("image-type", "imageType"),
    (
        "instance-type-specification.supported-instance-type",
        "instanceTypeSpecification/supportedInstanceType",
    ),
    (
        "instance-type-specification.unsupported-instance-type",
        "instanceTypeSpecification/unsupportedInstanceType",
    ),
    ("is-public", "isPublic"),
    ("kernel-id", "kernelId"),
    ("manifest-location", "imageLocation"),
    ("name", "name"),
    ("owner-alias", "imageOwnerAlias"),
    ("owner-id", "imageOwnerId"),
    ("platform", "platform"),
    ("product-code", "productCodes/productCode"),
    ("product-code.type", "productCodes/type"),
    ("public-ssm-parameter-name", "publicSsmParameterName"),
    ("ramdisk-id", "ramdiskId"),
    ("root-device-name", "rootDeviceName"),
    ("root-device-type", "rootDeviceType"),
    (
        "scan-result.critical-fix-available-since",
        "scanResult/criticalFixAvailableSince",
    ),
    (
        "scan-result.finding-scan-date",
        "scanResult/findingScanDate",
    ),
    (
        "scan-result.high-fix-available-since",
        "scanResult/highFixAvailableSince",
    ),
    (
        "scan-result.highest-finding-severity-label",
        "scanResult/highestFindingSeverityLabel",
    ),
    (
        "scan-result.informational-fix-available-since",
        "scanResult/informationalFixAvailableSince",
    ),
    (
        "scan-result.low-fix-available-since",
        "scanResult/lowFixAvailableSince",
    ),
    (
        "scan-result.medium-fix-available-since",
        "scanResult/mediumFixAvailableSince",
    ),
    ("source-image-id", "sourceImageId"),
    ("source-image-region", "sourceImageRegion"),
    ("source-instance-id", "sourceInstanceId"),
    ("state", "imageState"),
    ("state-reason-code", "stateReason/code"),
    ("state-reason-message", "stateReason/message"),
    ("sriov-net-support", "sriovNetSupport"),
    ("virtualization-type", "virtualizationType"),
];

/// Filters of DescribeInstanceTypes.
pub(super) const INSTANCE_TYPES: &Known = &[
    ("auto-recovery-supported", "autoRecoverySupported"),
    ("bare-metal", "bareMetal"),
    (
        "burstable-performance-supported",
        "burstablePerformanceSupported",
    ),
    ("current-generation", "currentGeneration"),
    ("dedicated-hosts-supported", "dedicatedHostsSupported"),
    (
        "ebs-info.attachment-limit-type",
        "ebsInfo/attachmentLimitType",
    ),
    (
        "ebs-info.maximum-ebs-attachments",
        "ebsInfo/maximumEbsAttachments",
    ),
    (
        "ebs-info.ebs-optimized-info.baseline-bandwidth-in-mbps",
        "ebsInfo/ebsOptimizedInfo/baselineBandwidthInMbps",
    ),
    (
        "ebs-info.ebs-optimized-info.baseline-iops",
        "ebsInfo/ebsOptimizedInfo/baselineIops",
    ),
    (
        "ebs-info.ebs-optimized-info.baseline-throughput-in-mbps",
        "ebsInfo/ebsOptimizedInfo/baselineThroughputInMbps",
    ),
    (
        "ebs-info.ebs-optimized-info.maximum-bandwidth-in-mbps",
        "ebsInfo/ebsOptimizedInfo/maximumBandwidthInMbps",
    ),
    (
        "ebs-info.ebs-optimized-info.maximum-iops",
        "ebsInfo/ebsOptimizedInfo/maximumIops",
    ),
    (
        "ebs-info.ebs-optimized-info.maximum-throughput-in-mbps",
        "ebsInfo/ebsOptimizedInfo/maximumThroughputInMbps",
    ),
    (
        "ebs-info.ebs-optimized-support",
        "ebsInfo/ebsOptimizedSupport",
    ),
    ("ebs-info.encryption-support", "ebsInfo/encryptionSupport"),
    ("ebs-info.nvme-support", "ebsInfo/nvmeSupport"),
    ("free-tier-eligible", "freeTierEligible"),
    ("hibernation-supported", "hibernationSupported"),
    ("hypervisor", "hypervisor"),
    (
        "instance-storage-info.disk.count",
        "instanceStorageInfo/disks/count",
    ),
    (
        "instance-storage-info.disk.size-in-gb",
        "instanceStorageInfo/disks/sizeInGB",
    ),
    (
        "instance-storage-info.disk.type",
        "instanceStorageInfo/disks/type",
    ),
    (
        "instance-storage-info.encryption-support",
        "instanceStorageInfo/encryptionSupport",
    ),
    (
        "instance-storage-info.nvme-support",
        "instanceStorageInfo/nvmeSupport",
    ),
    (
        "instance-storage-info.total-size-in-gb",
        "instanceStorageInfo/totalSizeInGB",
    ),
    ("instance-storage-supported", "instanceStorageSupported"),
    ("instance-type", "instanceType"),
    ("memory-info.size-in-mib", "memoryInfo/sizeInMiB"),
    (
        "network-info.bandwidth-weightings",
        "networkInfo/bandwidthWeightings",
    ),
    (
        "network-info.efa-info.maximum-efa-interfaces",
        "networkInfo/efaInfo/maximumEfaInterfaces",
    ),
    ("network-info.efa-supported", "networkInfo/efaSupported"),
    ("network-info.ena-support", "networkInfo/enaSupport"),
    (
        "network-info.flexible-ena-queues-support",
        "networkInfo/flexibleEnaQueuesSupport",
    ),
    (
        "network-info.encryption-in-transit-supported",
        "networkInfo/encryptionInTransitSupported",
    ),
    (
        "network-info.ipv4-addresses-per-interface",
        "networkInfo/ipv4AddressesPerInterface",
    ),
    (
        "network-info.ipv6-addresses-per-interface",
        "networkInfo/ipv6AddressesPerInterface",
    ),
    ("network-info.ipv6-supported", "networkInfo/ipv6Supported"),
    (
        "network-info.maximum-network-cards",
        "networkInfo/maximumNetworkCards",
    ),
    (
        "network-info.maximum-network-interfaces",
        "networkInfo/maximumNetworkInterfaces",
    ),
    (
        "network-info.network-performance",
        "networkInfo/networkPerformance",
    ),
    ("nitro-enclaves-support", "nitroEnclavesSupport"),
    ("nitro-tpm-support", "nitroTpmSupport"),
    (
        "nitro-tpm-info.supported-versions",
        "nitroTpmInfo/supportedVersions",
    ),
    (
        "processor-info.supported-architecture",
        "processorInfo/supportedArchitectures",
    ),
    (
        "processor-info.sustained-clock-speed-in-ghz",
        "processorInfo/sustainedClockSpeedInGhz",
    ),
    (
        "processor-info.supported-features",
        "processorInfo/supportedFeatures",
    ),
    ("reboot-migration-support", "rebootMigrationSupport"),
    ("supported-boot-mode", "supportedBootModes"),
    ("supported-root-device-type", "supportedRootDeviceTypes"),
    ("supported-usage-class", "supportedUsageClasses"),
    (
        "supported-virtualization-type",
        "supportedVirtualizationTypes",
    ),
    ("vcpu-info.default-cores", "vCpuInfo/defaultCores"),
    (
        "vcpu-info.default-threads-per-core",
        "vCpuInfo/defaultThreadsPerCore",
    ),
    ("vcpu-info.default-vcpus", "vCpuInfo/defaultVCpus"),
    ("vcpu-info.valid-cores", "vCpuInfo/validCores"),
    (
        "vcpu-info.valid-threads-per-core",
        "vCpuInfo/validThreadsPerCore",
    ),
];

/// Filters of DescribeVolumes.
pub(super) const VOLUMES: &Known = &[
    ("attachment.attach-time", "attachmentSet/attachTime"),
    (
        "attachment.delete-on-termination",
        "attachmentSet/deleteOnTermination",
    ),
    ("attachment.device", "attachmentSet/device"),
    ("attachment.instance-id", "attachmentSet/instanceId"),
    ("attachment.status", "attachmentSet/status"),
    ("availability-zone", "availabilityZone"),
    ("availability-zone-id", "availabilityZoneId"),
    ("create-time", "createTime"),
    ("encrypted", "encrypted"),
    ("fast-restored", "fastRestored"),
    ("multi-attach-enabled", "multiAttachEnabled"),
    ("operator.managed", "operator/managed"),
    ("operator.principal", "operator/principal"),
    ("size", "size"),
    ("snapshot-id", "snapshotId"),
    ("status", "status"),
    ("volume-id", "volumeId"),
    ("volume-type", "volumeType"),
];

/// Filters of DescribeInstanceStatus.
pub(super) const INSTANCE_STATUS: &Known = &[
    ("availability-zone", "availabilityZone"),
    ("availability-zone-id", "availabilityZoneId"),
    ("event.code", "eventsSet/code"),
    ("event.description", "eventsSet/description"),
    ("event.instance-event-id", "eventsSet/instanceEventId"),
    ("event.not-after", "eventsSet/notAfter"),
    ("event.not-before", "eventsSet/notBefore"),
    ("event.not-before-deadline", "eventsSet/notBeforeDeadline"),
    ("instance-state-code", "instanceState/code"),
    ("instance-state-name", "instanceState/name"),
    (
        "instance-status.reachability",
        "instanceStatus/details/status",
    ),
    ("instance-status.status", "instanceStatus/status"),
    ("operator.managed", "operator/managed"),
    ("operator.principal", "operator/principal"),
    ("system-status.reachability", "systemStatus/details/status"),
    ("system-status.status", "systemStatus/status"),
    ("attached-ebs-status.status", "attachedEbsStatus/status"),
    ("application-status.status", "applicationStatus/status"),
];
