//! Associations of route tables with subnets and gateways, and main tables.

use super::{Answer, Refusal, State, ec2_id::Kind};

impl State {
    /// AssociateRouteTable with a subnet or an internet gateway; answers the
    /// association's id.
    pub fn associate_route_table(&mut self, table_id: &str, holder: &str) -> Answer<String> {
        let table = self.route_table(table_id)?;
        self.check_holder(&table.vpc_id, table_id, holder)?;
        let taken = self
            .route_tables
            .values()
            .any(|table| table.associations.iter().any(|(_, id)| id == holder));
        if taken {
            return Err(Refusal::new(
                "Resource.AlreadyAssociated",
                format!(
                    "the specified association for route table {table_id} conflicts with an existing association"
                ),
            ));
        }
        let id = self.ids.ec2("rtbassoc");
        let table = Kind::RouteTable.find_mut(&mut self.route_tables, table_id)?;
        table.associations.push((id.clone(), holder.to_owned()));
        Ok(id)
    }

    /// A subnet or gateway has to be of the table's VPC.
    fn check_holder(&self, vpc_id: &str, table_id: &str, holder: &str) -> Answer<()> {
        let (of, what) = if holder.starts_with("igw-") {
            let gateway = Kind::InternetGateway.find(&self.internet_gateways, holder)?;
            (gateway.vpc_id.as_deref().unwrap_or_default(), "gateway")
        } else {
            (self.subnet(holder)?.vpc_id.as_str(), "subnet")
        };
        if of == vpc_id {
            return Ok(());
        }
        Err(Refusal::parameter(format!(
            "Route table {table_id} and {what} {holder} belong to different networks"
        )))
    }

    /// DisassociateRouteTable: the main table cannot be left.
    pub fn disassociate_route_table(&mut self, id: &str) -> Answer<()> {
        Kind::RouteTableAssociation.check_form(id)?;
        if self.vpcs.values().any(|vpc| vpc.main_association == id) {
            return Err(Refusal::parameter(format!(
                "cannot disassociate the main route table association {id}"
            )));
        }
        let (table, _) = self.association(id)?;
        if let Some(table) = self.route_tables.get_mut(&table) {
            table.associations.retain(|(own, _)| own != id);
        }
        Ok(())
    }

    /// Table and holder of an association.
    fn association(&self, id: &str) -> Answer<(String, String)> {
        self.route_tables
            .values()
            .find_map(|table| {
                let (_, holder) = table.associations.iter().find(|(own, _)| own == id)?;
                Some((table.id.clone(), holder.clone()))
            })
            .ok_or_else(|| Kind::RouteTableAssociation.not_found(id))
    }

    /// ReplaceRouteTableAssociation: another table for a subnet, or another
    /// main table; answers the new association's id.
    pub fn replace_association(&mut self, id: &str, table_id: &str) -> Answer<String> {
        Kind::RouteTableAssociation.check_form(id)?;
        let table = self.route_table(table_id)?;
        let vpc_id = table.vpc_id.clone();
        let main = self
            .vpcs
            .values()
            .find(|vpc| vpc.main_association == id)
            .map(|vpc| vpc.id.clone());
        if let Some(main) = main {
            if main != vpc_id {
                return Err(Refusal::parameter(format!(
                    "Route table {table_id} and association {id} belong to different networks"
                )));
            }
            let new = self.ids.ec2("rtbassoc");
            if let Some(vpc) = self.vpcs.get_mut(&main) {
                table_id.clone_into(&mut vpc.main_route_table);
                vpc.main_association.clone_from(&new);
            }
            return Ok(new);
        }
        let (before, holder) = self.association(id)?;
        self.check_holder(&vpc_id, table_id, &holder)?;
        let new = self.ids.ec2("rtbassoc");
        if let Some(table) = self.route_tables.get_mut(&before) {
            table.associations.retain(|(own, _)| own != id);
        }
        if let Some(table) = self.route_tables.get_mut(table_id) {
            table.associations.push((new.clone(), holder));
        }
        Ok(new)
    }
}
