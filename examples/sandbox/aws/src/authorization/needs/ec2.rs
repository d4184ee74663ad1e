//! What calls of EC2 need.

use serde_json::Value;

use super::{Call, Need};

/// The kinds of EC2 by the prefix of their ids.
const EC2_KINDS: [(&str, &str); 18] = [
    ("acl", "network-acl"),
    ("ami", "image"),
    ("dopt", "dhcp-options"),
    ("eigw", "egress-only-internet-gateway"),
    ("eipalloc", "elastic-ip"),
    ("eni", "network-interface"),
    ("i", "instance"),
    ("igw", "internet-gateway"),
    ("nat", "natgateway"),
    ("pcx", "vpc-peering-connection"),
    ("pl", "prefix-list"),
    ("rtb", "route-table"),
    ("sg", "security-group"),
    ("sgr", "security-group-rule"),
    ("subnet", "subnet"),
    ("vol", "volume"),
    ("vpc", "vpc"),
    ("vpce", "vpc-endpoint"),
];

impl Call<'_> {
    pub(super) fn of_ec2(&self) -> Vec<Need> {
        let operation = self.operation;
        let action = format!("ec2:{operation}");
        if operation.starts_with("Describe") || operation.starts_with("Get") {
            return vec![self.unbound(&action)];
        }
        let tagging = matches!(operation, "CreateTags" | "DeleteTags");
        let resources = if tagging {
            let ids = self.texts("ResourceId");
            ids.iter().map(|id| self.ec2_arn(id)).collect()
        } else {
            vec![self.ec2_resource()]
        };
        let needs = resources
            .iter()
            .map(|resource| self.need(&action, resource));
        let mut needs: Vec<Need> = needs.collect();
        for specification in self.objects("TagSpecification") {
            let kind = specification.get("ResourceType").and_then(Value::as_str);
            let kind = kind.unwrap_or("*");
            let mut need = self.need("ec2:CreateTags", &self.arn("ec2", &format!("{kind}/*")));
            need.extend("ec2:createaction", [operation.to_owned()]);
            needs.push(need);
        }
        needs
    }

    /// The resource that a write of EC2 is about.
    fn ec2_resource(&self) -> String {
        if self.operation == "CreateSecurityGroup" {
            return self.arn("ec2", "security-group/*");
        }
        let names = [
            "GroupId",
            "NetworkInterfaceId",
            "AllocationId",
            "PrefixListId",
            "RouteTableId",
            "InternetGatewayId",
            "SubnetId",
            "VpcPeeringConnectionId",
            "VpcId",
        ];
        let mut named = names.iter().filter_map(|name| self.text(name));
        if let Some(id) = named.next() {
            return self.ec2_arn(id);
        }
        if let [instance] = self.texts("InstanceId").as_slice() {
            return self.ec2_arn(instance);
        }
        "*".to_owned()
    }

    fn ec2_arn(&self, id: &str) -> String {
        let prefix = id.split_once('-').map_or(id, |(prefix, _)| prefix);
        let kinds = EC2_KINDS.iter();
        let kind = kinds.clone().find(|(known, _)| *known == prefix);
        let kind = kind.map_or("*", |(_, kind)| kind);
        self.arn("ec2", &format!("{kind}/{id}"))
    }
}
