import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { openAdapter } from '../../../src/checkpoint/adapter/adapter.ts'
import { targetsOf } from '../../../src/checkpoint/adapter/targets.ts'
import { writeFile } from 'node:fs/promises'
import { counting, temporaryFolder, writeSafetensors } from '../write.ts'

/** What PEFT does (test/reference/adapter_targets.py). */
interface Reference {
  readonly modules: readonly string[]
  readonly targets: readonly { readonly config: Record<string, unknown>; readonly hits: readonly string[] }[]
  readonly patterns: readonly { readonly keys: readonly string[]; readonly found: readonly (string | null)[] }[]
}

const reference = JSON.parse(readFileSync(new URL('targets.json', import.meta.url), 'utf8')) as Reference

test('the modules of a config are those that PEFT changes', () => {
  for (const { config, hits } of reference.targets) {
    const isTarget = targetsOf(config as never, 'file')
    assert.deepEqual(reference.modules.filter(isTarget), hits, JSON.stringify(config))
  }
})

test('a module has the alpha of the key that PEFT finds for it', async (context) => {
  for (const { keys, found } of reference.patterns) {
    const folder = await temporaryFolder(context)
    const alphas = Object.fromEntries(keys.map((key, i) => [key, 10 + i]))
    const config = { peft_type: 'LORA', r: 2, lora_alpha: 4, alpha_pattern: alphas }
    await writeFile(join(folder, 'adapter_config.json'), JSON.stringify(config))
    const tensors = reference.modules.flatMap((module) => [
      [`base_model.model.${module}.lora_A.weight`, counting([2, 4])],
      [`base_model.model.${module}.lora_B.weight`, counting([4, 2])],
    ])
    await writeSafetensors(join(folder, 'adapter_model.safetensors'), Object.fromEntries(tensors))
    const { modules } = await openAdapter(folder)
    const scaling = Object.fromEntries(modules.map((module) => [module.name, module.scaling]))
    const expected = reference.modules.map((module, i) => [module, (found[i] === null ? 4 : alphas[found[i]!]!) / 2])
    assert.deepEqual(scaling, Object.fromEntries(expected), String(keys))
  }
})
