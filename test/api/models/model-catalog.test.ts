import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ModelCatalog } from '../../../src/api/models/model-catalog.ts'
import type { ServedModel } from '../../../src/api/models/served-model.ts'
import { modelRoutes } from '../../../src/api/openai/models.ts'

function served(id: string, adapters: readonly string[], names: readonly string[] = [id]): ServedModel {
  return { id, adapters, created: 5, maxTokens: 64, isCalled: (name: string) => names.includes(name) } as ServedModel
}

/** What the list of models answers. */
function listed(catalog: ModelCatalog): { id: string; parent: string | null }[] {
  let body: unknown
  const [list] = modelRoutes(catalog)
  void list!.handle({ sendJson: (_: number, json: unknown) => (body = json) } as never, '')
  return (body as { data: { id: string; parent: string | null }[] }).data
}

test('adapters that servers hold are listed as models with their base, and found by name', () => {
  const catalog = new ModelCatalog()
  catalog.add(served('org/base', ['sql', 'poems'], ['org/base', './base']))
  catalog.add(served('other', []))
  catalog.complete()
  assert.deepEqual(
    listed(catalog).map(({ id, parent }) => [id, parent]),
    [
      ['org/base', null],
      ['sql', 'org/base'],
      ['poems', 'org/base'],
      ['other', null],
    ],
  )
  const adapted = catalog.find('sql')
  assert.deepEqual([adapted.id, adapted.served.id, adapted.adapter], ['sql', 'org/base', 'sql'])
  assert.deepEqual([catalog.find('./base').id, catalog.find('./base').adapter], ['org/base', undefined])
  for (const name of ['nope', undefined]) assert.throws(() => catalog.find(name), { code: 'model_not_found' })
})

test('until all models are there an unknown one may still come', () => {
  const catalog = new ModelCatalog()
  catalog.add(served('one', []))
  assert.equal(catalog.find('one').id, 'one')
  assert.throws(() => catalog.find('two'), { code: 'model_loading' })
  catalog.complete()
  assert.throws(() => catalog.find('two'), { code: 'model_not_found' })
  assert.equal(catalog.find(undefined).id, 'one')
})
