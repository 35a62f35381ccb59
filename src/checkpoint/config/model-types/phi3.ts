import { windowLayers } from '../layer-config.ts'
import { isJsonObject } from '../../files/json.ts'
import { parseRope } from '../rope.ts'
import type { ModelTypeRow } from './row.ts'

export const phi3: ModelTypeRow = {
  defaults: {
    normEps: 1e-5,
    activation: 'silu',
    maxPositions: 4096,
    ropeTheta: 10000,
    tiedEmbeddings: false,
    bosTokenId: 1,
    eosTokenId: 32_000,
  },
  // The first checkpoints called longrope "su"; what they called "yarn" is longrope, too.
  ropes: ({ config, ...source }) => [
    parseRope({
      ...source,
      config: { ...config, ...longRope(config, 'rope_scaling'), ...longRope(config, 'rope_parameters') },
    }),
  ],
  layers: (fields, numBlocks) => windowLayers(fields, numBlocks),
  finalNorm: 'norm.weight',
  embedding: 'embed_tokens.weight',
}

/** The rotary settings in field `name` with their type renamed to "longrope"; nothing if they have another type. */
function longRope(config: Readonly<Record<string, unknown>>, name: string): object {
  const values = config[name]
  if (!isJsonObject(values) || !['su', 'yarn'].includes(String(values['rope_type'] ?? values['type']))) return {}
  return { [name]: { ...values, rope_type: 'longrope' } }
}
