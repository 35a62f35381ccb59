import type { OptionTable } from '../option-table.ts'
import { MODEL } from './groups.ts'

/** Which model to use. */
export const modelOptions = {
  model: {
    type: 'text',
    short: 'm',
    group: MODEL,
    isFile: true,
    defaultDescription: 'the bundled demo model',
    description: 'Folder of a Hugging Face checkpoint, or org/name[@revision] on the hub',
  },
  maxDiskSpace: {
    type: 'size',
    group: MODEL,
    defaultDescription: 'no limit',
    description: 'Disk space for downloaded parts of models; the least recently used go first',
    reason:
      'Only files of this program count, and only they are deleted; whole files stay out of the shared cache then',
  },
  dhtPrefix: {
    type: 'text',
    group: MODEL,
    description: 'Name of the model in the swarm, instead of the key made from its weights',
  },
} as const satisfies OptionTable

/** What of its own a client's requests use: an adapter, tuned prompts, a tuned head. */
export const adapterOptions = {
  activeAdapter: {
    type: 'text',
    group: MODEL,
    rivals: ['ownAdapter'],
    description: 'Name of a LoRA adapter that servers hold, to go through',
  },
  ownAdapter: {
    type: 'text',
    group: MODEL,
    rivals: ['activeAdapter'],
    isFile: true,
    description: 'Folder of a LoRA adapter to bring to the servers, and go through',
  },
  prompts: {
    type: 'text',
    group: MODEL,
    isFile: true,
    description: 'Folder of tuned prompts ("petals-node tune"), which stand before every text',
  },
  head: {
    type: 'text',
    group: MODEL,
    isFile: true,
    description: 'Folder of a tuned head ("petals-node tune --method head"), in place of the model\'s own',
  },
} as const satisfies OptionTable
