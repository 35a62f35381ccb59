import { randomBytes } from 'node:crypto'
import { SwarmError } from '../errors.ts'

export const SWARM_KEY_BYTES = 32

const HEADER = '/key/swarm/psk/1.0.0/'
const DIGITS = { '/base16/': /^[0-9a-f]{64}$/i, '/base64/': /^[A-Za-z0-9+/]{43}=?$/ } as const

/** A new random key as the text of a key file, in the format of all libp2p implementations. */
export function generateSwarmKey(): string {
  return `${HEADER}\n/base16/\n${randomBytes(SWARM_KEY_BYTES).toString('hex')}\n`
}

/** The 32 bytes of the key in a key file's text. Throws `SWARM_KEY`, naming `file` but never the key. */
export function parseSwarmKey(text: string, file: string): Uint8Array {
  const refuse = (what: string) =>
    new SwarmError(
      'SWARM_KEY',
      `the swarm key file ${file} ${what}: copy it whole from another node of the swarm, or make a new one ` +
        'with "petals-node keygen"',
    )
  const [header, encoding, digits = '', ...rest] = text.trim().split(/\s*\n\s*/)
  if (header !== HEADER) throw refuse(`does not begin with ${HEADER}`)
  if (encoding !== '/base16/' && encoding !== '/base64/')
    throw refuse('does not say /base16/ or /base64/ in its second line')
  if (rest.length > 0 || !DIGITS[encoding].test(digits)) {
    throw refuse(
      `has ${digits.length} characters of key and ${rest.length} lines more where ${encoding} takes ` +
        `${encoding === '/base16/' ? 64 : 44} and none`,
    )
  }
  return Uint8Array.from(Buffer.from(digits, encoding === '/base16/' ? 'hex' : 'base64'))
}
