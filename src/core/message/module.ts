/** What mod_message_gateway and the gateway say to one another (prosody/modules/README.md). */
export const moduleNamespace = 'urn:xmpp-message-gateway:0';
