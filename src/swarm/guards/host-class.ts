import { BlockList, isIP } from 'node:net'

/** Networks that are not the internet, each with the name under which two addresses of it are alike. */
const NETWORKS: readonly (readonly [name: string, network: string, prefix: number, family: 'ipv4' | 'ipv6'])[] = [
  ['loopback', '127.0.0.0', 8, 'ipv4'],
  ['loopback', '::1', 128, 'ipv6'],
  ['private 10', '10.0.0.0', 8, 'ipv4'],
  ['private 172', '172.16.0.0', 12, 'ipv4'],
  ['private 192', '192.168.0.0', 16, 'ipv4'],
  ['shared', '100.64.0.0', 10, 'ipv4'],
  ['link-local', '169.254.0.0', 16, 'ipv4'],
  ['link-local v6', 'fe80::', 10, 'ipv6'],
  ['private v6', 'fc00::', 7, 'ipv6'],
  ['nowhere', '0.0.0.0', 8, 'ipv4'],
  ['nowhere', '224.0.0.0', 3, 'ipv4'],
  ['nowhere', '::', 128, 'ipv6'],
  ['nowhere', 'ff00::', 8, 'ipv6'],
]

const classes = NETWORKS.map(([name, network, prefix, family]) => {
  const list = new BlockList()
  list.addSubnet(network, prefix, family)
  return { name, list, family }
})

/** IPv6 addresses that stand for the IPv4 address in their last 32 bits: mapped ones, and those of NAT64. */
const EMBEDDING = new BlockList()
EMBEDDING.addSubnet('::ffff:0:0', 96, 'ipv6')
EMBEDDING.addSubnet('64:ff9b::', 96, 'ipv6')

/** What kind of network an IP address lies in: `public`, `nowhere` for what nobody can be dialled at, or a name. */
export function hostClass(ip: string): string {
  if (isIP(ip) === 6 && EMBEDDING.check(ip, 'ipv6')) return hostClass(embeddedIpv4(ip))
  const family = isIP(ip) === 6 ? 'ipv6' : 'ipv4'
  return classes.find((one) => one.family === family && one.list.check(ip, family))?.name ?? 'public'
}

/** The host that answers for what comes from an address: of IPv6 the network, all of which one machine may have. */
export function networkOf(ip: string): string {
  if (isIP(ip) !== 6) return ip
  const groups = expanded(ip)
  return `${groups.slice(0, 4).join(':')}::/64`
}

function embeddedIpv4(ip: string): string {
  const [high = '0', low = '0'] = expanded(ip).slice(-2)
  const value = (Number.parseInt(high, 16) << 16) | Number.parseInt(low, 16)
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.')
}

/** The eight groups of an IPv6 address. */
function expanded(ip: string): string[] {
  // URL writes an IPv4 address at the end as two groups, and all groups without leading zeros.
  const text = new URL(`http://[${ip.split('%', 1)[0]}]`).hostname.slice(1, -1)
  const [head = '', tail = ''] = text.split('::')
  const before = head === '' ? [] : head.split(':')
  const after = tail === '' ? [] : tail.split(':')
  const zeros = Array.from({ length: text.includes('::') ? 8 - before.length - after.length : 0 }, () => '0')
  return [...before, ...zeros, ...after]
}
