"""Pieces of templates, one feature each; `templates.py` renders them with jinja2."""

VARIABLES = {
    "messages": [
        {"role": "system", "content": "Be terse."},
        {"role": "user", "content": "Hi <b> & 'co' \"x\""},
        {"role": "assistant", "content": "<think>\nhm\n</think>\n\n    indented\n"},
        {"role": "user", "content": "Bye \U0001f600 é"},
    ],
    "d": {"b": 1, "a": None, "C": [1.5, True], "items": "own", "é": "ü", "nested": {"x": [1, {"y": "z"}]}},
    "xs": [3, 1, 2],
    "words": ["b", "A", "c", "a"],
    "people": [
        {"name": "Bo", "age": 30, "city": "x"},
        {"name": "al", "age": 25, "city": "Y"},
        {"name": "Cy", "age": 30, "city": "X"},
        {"name": "Di"},
    ],
    "emoji": "a\U0001f600b\U0001f601c",
    "text": "  one two\tthree\n",
    "lines": "a\nb\r\nc\x0bd\u2028e\n",
    "n": 7,
    "f": 2.5,
    "none_value": None,
    "yes": True,
    "empty": "",
    "tools": None,
    "documents": None,
    "add_generation_prompt": True,
    "bos_token": "<s>",
}

SNIPPETS = r"""
{{ 'xxaxx'.strip('x') }}|{{ 'xxaxx'.lstrip('x') }}|{{ 'xxaxx'.rstrip('x') }}
{{ messages[2].content.split('</think>')[-1].lstrip('\n') }}
{{ '  a b '.strip() ~ '|' ~ ' a '.lstrip() ~ '|' ~ ' a '.rstrip() }}|{{ '\x1ca\ufeff'.strip()|length }}
{{ 'abcba'.strip('ab') }}{{ 'abc'.strip('') }}{{ '😀a😀'.strip('😀') }}
{{ tools is none }}{{ documents is none }}{{ tools is defined }}{{ tools is not none }}
{% if tools %}T{% else %}F{% endif %}{{ tools }}
{{ true }}{{ True }}{{ false }}{{ none }}{{ None }}
{{ d }}
{{ xs }}{{ words }}{{ people }}
{{ [1, 1.0, 'a', "it's", 'say "x"', "both ' and \"", none, true, [], {}, (), (1,), (1, 2)] }}
{{ ['\n\t\\', '\x00\x7f\x1b', 'é', '😀', '\u200b', '\xa0', '\u3000', '\ud7ff', '\ue000'] }}
{{ {'a': {'b': [1, {'c': 2}]}} }}
{{ {1: 'a', 1.0: 'b', true: 'c'} }}
{{ 1.0 }}{{ 1e20 }} {{ 1e16 }} {{ 123456789012345.0 }} {{ 1e15 }} {{ 1e-4 }} {{ 1e-5 }} {{ 0.1 + 0.2 }} {{ 1/3 }} {{ 1e22 }} {{ 2.5e-7 }}
{{ 100000000000000000000000 }} {{ 2 ** 70 }} {{ 2 ** -1 }} {{ 2.0 ** 3 }} {{ -2 ** 2 }} {{ 2 ** 3 ** 2 }}
{{ 7 // 2 }} {{ -7 // 2 }} {{ 7 // -2 }} {{ 7.5 // 2 }} {{ -7.5 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ -7.5 % 2 }} {{ 7.5 % -2 }}
{{ 7 / 2 }} {{ 4 / 2 }} {{ 1 + true }} {{ true * 3 }} {{ 3 - 1.0 }} {{ -0.0 }} {{ 0.0 * -1 }}
{{ 1 / 0 }}
{{ 1 // 0 }}
{{ 1 % 0 }}
{{ 1.0 % 0.0 }}
{{ 'a' * 3 }}{{ 3 * 'ab' }}{{ 'a' * -1 }}{{ [1, 2] * 2 }}{{ (1,) * 2 }}{{ [1] + [2] }}{{ (1,) + (2,) }}
{{ 'a' + 1 }}
{{ 1 + 'a' }}
{{ [1] + (2,) }}
{{ 'a' - 'b' }}
{{ none + 1 }}
{{ 'a' ~ 1 ~ none ~ true ~ 1.5 ~ [1] ~ undefined_thing }}
{{ 0x1f }} {{ 0b101 }} {{ 0o17 }} {{ 1_000 }} {{ 1_0.5 }} {{ 00 }}
{{ +5 }}{{ -5 }}{{ - 5 }}{{ --5 }}{{ -n|abs }}
{{ -'a' }}
{{ 'é😀\u00e9\x41\101\n\'\"\q' }}|{{ "a" 'b' "c" }}
{{ '%s and %r' % ('a', 'b') }}|{{ '%d %i %5d|%-5d|%05d|%+d' % (1, 2.9, 3, 4, 5, 6) }}
{{ '%.2f %e %g %G %10.3f %%' % (2.345, 12345.678, 0.00001, 1e20, 3.14159) }}
{{ '%x %X %o %#x %#o' % (255, 255, 8, 255, 8) }} {{ '%c%c' % ('a', 66) }}
{{ '%(a)s %(b)05.1f' % {'a': 'x', 'b': 2.25} }}
{{ '%s' % [1, 2] }} {{ '%s' % none }} {{ 'no' % [1] }} {{ '%.3s|%5s|%-5s|' % ('abcdef', 'x', 'y') }}
{{ '%s' % (1, 2) }}
{{ '%s %s' % 'a' }}
{{ '%d' % 'a' }}
{{ 'abc' % 'a' }}
{{ '%q' % 1 }}
{{ '%.0f %.0f %.0f %.1f %.2f' % (0.5, 1.5, 2.5, 0.25, 1.005) }}
{{ "%s: %s"|format('a', 1) }}{{ "%(x)s"|format(x=1) }}
{{ '{} {}'.format('a', 1) }} {{ '{1} {0}'.format('a', 'b') }} {{ '{x}{y!r}'.format(x=1, y='z') }} {{ '{{}}'.format() }}
{{ '{:>5}|{:<5}|{:^5}|{:*^7}|{:05d}|{:+d}|{: d}'.format('a', 'b', 'c', 'd', 42, 5, 6) }}
{{ '{:.2f} {:,} {:_} {:e} {:g} {:%} {:.1%} {:x} {:#x} {:b} {:o} {:X}'.format(1.005, 1234567, 1234567, 12345.6789, 1e-7, 0.5, 0.256, 255, 255, 5, 8, 255) }}
{{ '{:10.3f}|{:<10.1f}|{:08.2f}|{:+.1f}|{:,.2f}'.format(3.14159, 2.25, -1.5, 2.0, 1234567.891) }}
{{ '{:5}|{:5}|{:>5}|{:d}'.format(1, 'a', true, true) }} {{ '{}'.format(none) }} {{ '{:.3}|{:.3}'.format('abcdef', 3.14159) }}
{{ '{0[a]} {0.b} {1[0]}'.format({'a': 1, 'b': 2}, [3]) }}
{{ '{:d}'.format('a') }}
{{ '{:5}'.format(none) }}
{{ '{} {0}'.format(1) }}
{{ '{'.format(1) }}
{{ '{a}'.format(b=1) }}
{{ '{2}'.format(1) }}
{{ '{0.__class__}'.format(1) }}
{{ emoji|length }} {{ emoji[1] }} {{ emoji[-2] }} {{ emoji[1:3] }} {{ emoji[::-1] }} {{ emoji[:-1] }} {{ emoji[::2] }} {{ emoji|reverse }}
{{ xs[0] }}{{ xs[-1] }}{{ xs[5] }}{{ xs[1:] }}{{ xs[:-1] }}{{ xs[::-1] }}{{ xs[-2:] }}{{ xs[5:1] }}{{ xs[2:0:-1] }}{{ xs[:100] }}{{ xs[-100:2] }}
{{ (1, 2, 3)[1:] }}{{ (1, 2, 3)[0] }}{{ range(10)[2:5] }}{{ range(10)[::-2]|list }}{{ range(5)[-1] }}
{{ xs[::0] }}
{{ d[1:2] }}
{{ none_value[1:2] }}
{{ xs[true] }}{{ xs['a'] }}{{ xs[1.0] }}{{ 'abc'['x'] }}{{ 'abc'[10] }}|{{ xs.0 }}
{{ emoji.find('b') }} {{ emoji.rfind('c') }} {{ emoji.index('😁') }} {{ emoji.find('q') }} {{ 'abcabc'.find('c', 3) }} {{ 'abcabc'.count('bc') }} {{ ''.count('') }} {{ 'aaa'.count('a', 1, -1) }}
{{ 'a'.index('b') }}
{{ 'ab cd'.capitalize() }} {{ 'ABC dEF'.capitalize() }} {{ 'ßa'.capitalize() }} {{ 'ǆx'.capitalize() }} {{ ''.capitalize() }} {{ 'éA'.capitalize() }} {{ '😀A'.capitalize() }}
{{ "they're bill's friends".title() }} {{ 'ab1cd ef-gh'.title() }} {{ 'HELLO world'.title() }} {{ 'ßx'.title() }}
{{ "they're bill's (foo) x-y <a>"|title }} {{ 'ABC dEF'|capitalize }}
{{ 'straße'.upper() }} {{ 'İ'.lower()|length }} {{ 'ΑΣ'.lower() }} {{ 'ABC'|lower }}{{ 'abc'|upper }}
{{ 'a,b,c'.split(',') }}{{ 'a,b,c'.split(',', 1) }}{{ 'a,b,c'.split(',', maxsplit=1) }}{{ 'a,b,c'.split(sep=',') }}{{ ' a  b '.split() }}{{ ' a  b  c '.split(none, 1) }}{{ ''.split() }}{{ ''.split(',') }}{{ 'a,b,c'.split(',', 0) }}{{ ' a b '.split(none, 0) }}
{{ 'a,b,c'.rsplit(',', 1) }}{{ ' a  b  c '.rsplit(none, 1) }}{{ ' a b '.rsplit() }}{{ 'abc'.rsplit('b') }}
{{ 'a'.split('') }}
{{ lines.splitlines() }}{{ lines.splitlines(true) }}{{ ''.splitlines() }}
{{ 'aaaa'.replace('a', 'b') }}{{ 'aaaa'.replace('a', 'b', 2) }}{{ 'abc'.replace('', '-') }}{{ 'abc'.replace('', '-', 2) }}{{ 'a$b'.replace('$', '$&') }}{{ 'aaaa'|replace('a', 'b', 3) }}{{ 12|replace(1, 'x') }}
{{ 'abc'.startswith('a') }}{{ 'abc'.startswith(('x', 'a')) }}{{ 'abc'.startswith('b', 1) }}{{ 'abc'.endswith('c') }}{{ 'abc'.endswith(('b', 'c')) }}{{ 'abc'.endswith('b', 0, 2) }}{{ 'abc'.startswith('') }}{{ 'abc'.startswith('', 4) }}
{{ 'abc'.startswith(['a']) }}
{{ 'abc'.startswith(1) }}
{{ '-'.join(['a', 'b']) }}{{ ''.join('abc') }}{{ ','.join(d) }}{{ ', '.join(words|sort) }}
{{ ','.join([1]) }}
{{ 'abc'.removeprefix('a') }}{{ 'abc'.removesuffix('c') }}{{ 'abc'.removesuffix('') }}{{ 'a=b=c'.partition('=') }}{{ 'a=b=c'.rpartition('=') }}{{ 'abc'.partition('x') }}{{ 'abc'.rpartition('x') }}
{{ 'a'.ljust(3) }}|{{ 'a'.rjust(3, '*') }}|{{ 'ab'.center(5) }}|{{ 'a'.center(4, '-') }}|{{ '-5'.zfill(4) }}|{{ '5'.zfill(3) }}|{{ 'ab'|center(7) }}|
{{ '12'.isdigit() }}{{ ''.isdigit() }}{{ '1a'.isdigit() }}{{ '1a'.isalnum() }}{{ 'aé'.isalpha() }}{{ 'a b'.isalpha() }}{{ 'AB1'.isupper() }}{{ 'ab1'.islower() }}{{ '1'.islower() }}{{ ' \n'.isspace() }}{{ ''.isspace() }}{{ 'é'.isascii() }}{{ '٣'.isdigit() }}{{ '٣'.isdecimal() }}
{% for i in range(5) %}{% if i == 3 %}{% break %}{% endif %}{% if i == 1 %}a{% continue %}{% endif %}{{ i }},{% endfor %}
{% for i in [1, 2] %}<{% for j in [1, 2, 3] %}{% if j == 2 %}{% break %}{% endif %}{{ i }}{{ j }}{% endfor %}>{% endfor %}
{% for i in [1, 2] %}{% continue %}{% else %}E{% endfor %}{% for i in [1, 2] %}{% break %}{% else %}E{% endfor %}{% for i in [1, 2] %}{% if i == 2 %}{% break %}{% endif %}{% else %}E{% endfor %}
{% for i in [1] %}{% for j in [1] recursive %}{% continue %}{% else %}{% continue %}{% endfor %}{% endfor %}
{% for x in xs %}{{ n }}{% endfor %}{% set n = 1 %}{{ n }}
{{ n }}{% for x in xs %}{{ n }}{% endfor %}{% set n = 1 %}{{ n }}
{% for x in xs %}{{ n }}{% endfor %}{% if yes %}{% set n = 1 %}{% endif %}{{ n }}
{% for x in xs %}{{ n }}{% endfor %}{% if yes %}{% set n = 1 %}{% else %}{% set n = 2 %}{% endif %}{{ n }}
{% for x in xs %}{{ n }}{% endfor %}{% if yes %}{% set n = 1 %}{% elif yes %}{% set n = 3 %}{% else %}{% set n = 2 %}{% endif %}{{ n }}
{% macro m() %}{{ n }}{% endmacro %}{{ m() }}{% set n = n or 1 %}{{ m() }}{% macro k() %}{{ f }}{% endmacro %}{{ k() }}{% set f = 2 %}{{ k() }}
{% for x in xs %}{% for y in [1] %}{{ n }}{% endfor %}{% set n = x %}{{ n }}{% endfor %}{{ n }}
{% for x in xs %}{% for y in [1] %}{{ n }}{% endfor %}{% set n = x %}{{ n }}{% endfor %}
{% break %}
{% for i in [1] %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}
{% set ns = namespace(a=1, found=false) %}{% for i in xs %}{% set ns.a = ns.a + i %}{% set ns.found = true %}{% endfor %}{{ ns.a }}{{ ns.found }}{{ ns.missing }}
{% set ns = namespace({'x': 1}, y=2) %}{{ ns.x }}{{ ns['y'] }}{{ ns }}
{% set d.x = 1 %}
{% set x = 1 %}{% for i in [1, 2] %}{% set x = x + i %}{{ x }}{% endfor %}{{ x }}
{% if true %}{% set y = 5 %}{% endif %}{{ y }}{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set (p, q), r = [[3, 4], 5] %}{{ p }}{{ q }}{{ r }}
{% set a, b = 1, 2, 3 %}
{% set a, b = [1] %}
{% set x %}in{{ n }}{% endset %}[{{ x }}]{% set y | upper %}low{% endset %}{{ y }}
{% set true = 1 %}
{% macro f(a, b=2, c='x') %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ f(1) }} {{ f(1, c='y') }} {{ f(a=1, b=none) }} {{ f() }}
{% macro f(a) %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ f(1, 2, 3, x=4) }}
{% macro f(a) %}{{ a }}{% endmacro %}{{ f(1, 2) }}
{% macro f(a) %}{{ a }}{% endmacro %}{{ f(b=2) }}
{% macro f(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ f(1) }}{{ f(1, 3) }}{{ f.name }}{{ f.arguments }}{{ f }}
{% set a = 7 %}{% set b = 8 %}{% macro f(a, b=b) %}[{{ b }}]{% endmacro %}{{ f() }}{% macro g(b=a, a=2) %}[{{ b }}{{ a }}]{% endmacro %}{{ g() }}{{ g(a=5) }}
{% macro f(x) %}[{{ caller(x) }}]{% endmacro %}{% call(y) f(3) %}<{{ y }}>{% endcall %}{% call(z) f('q') %}{{ z|upper }}{% endcall %}
{% macro f() %}{{ caller is defined }}{% if caller %}{{ caller() }}{% endif %}{% endmacro %}{{ f() }}{% call f() %}body{% endcall %}
{% macro f() %}x{% endmacro %}{% call f() %}y{% endcall %}
{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }}
{% macro outer() %}{% macro inner() %}{{ v }}{% endmacro %}{% set v = 'in' %}{{ inner() }}{% endmacro %}{% set v = 'out' %}{{ outer() }}
{% macro late() %}{{ later }}{% endmacro %}{% set later = 'now' %}{{ late() }}
{% macro f(x) %}{{ x }}{% endmacro %}{% set r = f('a') %}{{ r|upper }}{{ r + 'b' }}{{ r|length }}
{% macro f(args, kw) %}{{ args }}{{ kw }}{% endmacro %}{{ f(*[1, 2]) }}{{ f(**{'args': 3, 'kw': 4}) }}
{% generation %}answer{% endgeneration %}|{%- generation -%} x {%- endgeneration -%}|
{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{% set z = 1 %}{{ m.content }}{% endgeneration %}{{ z }}{% endif %}{% endfor %}
{% for i in [1] %}{% generation %}{% break %}{% endgeneration %}{% endfor %}
{{ raise_exception('no') }}
{{ d|tojson }}
{{ d|tojson(indent=2) }}
{{ messages|tojson(indent=4) }}
{{ {'b': 1, 'a': [1, 2.0, true, none]}|tojson(sort_keys=true, separators=(',', ':')) }}
{{ 'é<>&\'"\n\u2028\x7f\x01/'|tojson }}{{ 'é😀\x7f'|tojson(ensure_ascii=true) }}
{{ [1, [], {}, [{}]]|tojson(indent=1) }}{{ [1]|tojson(indent=0) }}{{ [1]|tojson(indent='--') }}
{{ {1: 2, 1.5: 3, true: 4, none: 5}|tojson }}{{ (1, 2)|tojson }}{{ 1e20|tojson }}{{ 1.0|tojson }}{{ 'a'|tojson }}{{ none|tojson }}
{{ missing_one|tojson }}
{{ range(3)|tojson }}
{{ {(1, 2): 3}|tojson }}
{{ d is mapping }}{{ xs is mapping }}{{ xs is sequence }}{{ 'a' is sequence }}{{ d is sequence }}{{ 1 is sequence }}{{ xs is iterable }}{{ 1 is iterable }}{{ none is iterable }}{{ d.items() is sequence }}
{{ 'a' is string }}{{ 1 is string }}{{ 1 is number }}{{ 1.0 is number }}{{ true is number }}{{ 1 is integer }}{{ true is integer }}{{ 1.0 is float }}{{ true is boolean }}{{ 1 is boolean }}{{ true is true }}{{ 1 is true }}{{ false is false }}{{ none is none }}
{{ x is defined }}{{ n is defined }}{{ x is undefined }}{{ d.q is defined }}{{ d.a is defined }}{{ d.a is none }}{{ n is not defined }}{{ not x is defined }}
{{ 3 is odd }}{{ 4 is even }}{{ 9 is divisibleby 3 }}{{ 9 is divisibleby(2) }}{{ 'a' is lower }}{{ 'A' is upper }}{{ range is callable }}{{ n is callable }}{{ x is callable }}
{{ 1 is eq(1) }}{{ 1 is equalto 1.0 }}{{ 1 is sameas 2.0 }}
{{ 1 is ne 2 }}{{ 2 is gt 1 }}{{ 2 is greaterthan 1 }}{{ 1 is lt 2 }}{{ 1 is le 1 }}{{ 1 is ge 1 }}{{ 1 is in [1] }}{{ 'a' is in 'abc' }}{{ none is sameas none }}{{ true is sameas true }}{{ 1 is sameas true }}{{ xs is sameas xs }}{{ 'upper' is filter }}{{ 'nope' is filter }}{{ 'odd' is test }}{{ 'a' is escaped }}
{{ 'a' in 'abc' }}{{ 'd' in 'abc' }}{{ '' in 'abc' }}{{ 1 in xs }}{{ 9 in xs }}{{ 'b' in d }}{{ 1 in d }}{{ 'a' not in 'abc' }}{{ 2 in (1, 2) }}{{ 3 in range(5) }}{{ 'x' in undefined_thing }}{{ 1.0 in xs }}{{ 'own' in d.values() }}{{ 'b' in d.keys() }}{{ ('b', 1) in d.items() }}
{{ 1 in 'abc' }}
{{ 1 in 1 }}
{{ 'a' in none }}
{{ [1] in d }}
{{ 1 == 1.0 }}{{ 1 == '1' }}{{ true == 1 }}{{ none == false }}{{ [1, 2] == [1, 2] }}{{ [1] == (1,) }}{{ {'a': 1} == {'a': 1.0} }}{{ 'a' != 'b' }}{{ 1 < 2 < 3 }}{{ 1 < 3 < 2 }}{{ 1 == 1 != 2 }}{{ 'a' < 'b' }}{{ [1, 2] < [1, 3] }}{{ (1,) < (1, 0) }}{{ 'Z' < 'a' }}{{ 2 >= 2.0 }}{{ x == y }}{{ '😀' > '\ue000' }}
{{ 1 < 'a' }}
{{ none < 1 }}
{{ [1] < (1,) }}
{{ {} < {} }}
{{ x < 1 }}
{{ 1 and 2 }}{{ 0 or 'x' }}{{ '' and 1 }}{{ none or false }}{{ not 1 }}{{ not '' }}{{ 1 if 0 }}{{ 1 if 1 else 2 }}{{ 'a' if false else 'b' if false else 'c' }}{{ not true or true }}{{ [] or {} or 0.0 or 'end' }}
{{ undefined_thing }}{{ d.nope }}{{ d['nope'] }}{{ xs.nope }}{{ undefined_thing|length }}{{ undefined_thing|list }}{{ undefined_thing|join }}{{ undefined_thing|upper }}{{ undefined_thing|default('z') }}{% for a in undefined_thing %}x{% else %}empty{% endfor %}{{ [undefined_thing] }}{{ undefined_thing|first }}
{{ undefined_thing.a }}
{{ undefined_thing['a'] }}
{{ undefined_thing() }}
{{ undefined_thing + 1 }}
{{ 'a' + undefined_thing }}
{{ undefined_thing|int }}
{{ d.nope.deeper }}
{{ n() }}
{{ n.nope() }}
{{ d.b }}{{ d['C'][1] }}{{ d.nested.x[1].y }}{{ d.get('b') }}{{ d.get('zz') }}{{ d.get('zz', 5) }}{{ d.get('a', 5) }}{{ d['items'] }}{{ d.keys()|list }}{{ d.values()|list|length }}{{ d.items()|list|length }}
{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}{% for k in d %}{{ k }}{% endfor %}{% for k, v in d|items %}{{ k }}{% endfor %}
{{ d.keys() }}{{ {'a': 1}.values() }}{{ {'a': 1}.items() }}{{ d.keys()|length }}{{ d.keys()[0] }}
{% for k, v in xs %}{% endfor %}
{% for x in 5 %}{% endfor %}
{% for x in none %}{% endfor %}
{% for c in 'a😀' %}[{{ c }}]{% endfor %}{% for x in (1, 2) %}{{ x }}{% endfor %}{% for x in 1, 2 %}{{ x }}{% endfor %}{% for x in [] %}a{% else %}b{% endfor %}
{% for x in xs %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.depth0 }}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.cycle('a', 'b') }}{{ loop.changed(x > 1) }};{% endfor %}
{% for x in xs if x > 1 %}{{ loop.index }}/{{ loop.length }}:{{ x }}{{ loop.last }} {% else %}none{% endfor %}{% for x in xs if x > 9 %}{% else %}none{% endfor %}
{% for x in xs|map('string') %}{{ loop.length }}{{ x }}{{ loop.last }}{% endfor %}
{% for m in messages %}{% for x in [1, 2] %}{{ loop.index }}{% endfor %}{{ loop.index }}|{% endfor %}{{ loop }}
{% for i in [[1, [2, [3]]], [4]] recursive %}({{ loop.depth }}{% if i is sequence %}{{ loop(i) }}{% else %}{{ i }}{% endif %}){% endfor %}
{% for x in xs %}{{ loop(xs) }}{% endfor %}
{% for loop in xs %}{% endfor %}
{{ loop.index }}
{{ people|map(attribute='name')|join(', ') }}{{ people|map(attribute='age', default=0)|list }}{{ words|map('upper')|list }}{{ xs|map('string')|join('-') }}{{ [1.55, 2.45]|map('round', 1)|list }}{{ [[1, 2], [3]]|map('length')|list }}{{ people|map(attribute='nope')|list }}
{{ xs|select('odd')|list }}{{ xs|reject('odd')|list }}{{ xs|select('gt', 1)|list }}{{ [0, 1, '', 'a']|select|list }}{{ [0, 1]|reject|list }}{{ people|selectattr('age')|map(attribute='name')|list }}{{ people|selectattr('age', 'equalto', 30)|map(attribute='name')|join }}{{ people|rejectattr('age', 'defined')|list }}{{ messages|selectattr('role', '==', 'user')|list|length }}{{ messages|selectattr('role', 'in', ['user', 'system'])|map(attribute='role')|list }}
{{ xs|select('nope')|list }}
{{ xs|map('nope')|list }}
{{ xs|map|list }}
{{ xs|nope }}
{% if false %}{{ xs|nope }}{{ 1 is nope }}{% endif %}ok{{ 1 if true else n|nope }}
{% for x in [] %}{{ x|nope }}{% endfor %}
{% if n is nope %}{% endif %}
{% for g in people|groupby('age', default=0) %}{{ g.grouper }}:{{ g.list|map(attribute='name')|join(',') }};{% endfor %}{% for city, them in people|groupby('city', default='') %}{{ city }}{{ them|length }}{% endfor %}{{ [{'a': 1}]|groupby('a') }}{{ ([{'a': 1}]|groupby('a'))[0][1] }}
{{ people|groupby('age') }}
{{ d|dictsort }}
{{ {'b': 1, 'A': 2, 'c': 0}|dictsort }}{{ {'b': 1, 'A': 2}|dictsort(true) }}{{ {'b': 1, 'A': 2, 'c': 0}|dictsort(by='value') }}{{ {'b': 1, 'A': 2}|dictsort(false, 'key', true) }}
{{ xs|sort }}{{ words|sort }}{{ words|sort(case_sensitive=true) }}{{ xs|sort(reverse=true) }}{{ words|sort(true) }}{{ people[:3]|sort(attribute='age,name')|map(attribute='name')|list }}{{ d|sort }}
{{ [1, 'a']|sort }}
{{ [1, 1.0, true, 2, 'A', 'a']|unique|list }}{{ ['A', 'a', 'b']|unique(case_sensitive=true)|list }}{{ people|unique(attribute='age')|map(attribute='name')|list }}
{{ xs|batch(2)|list }}{{ xs|batch(2, 'x')|list }}{{ xs|slice(2)|list }}{{ xs|slice(2, 'x')|list }}{{ range(7)|slice(3)|list }}{{ range(7)|batch(3, 0)|list }}
{{ xs|min }}{{ xs|max }}{{ words|min }}{{ words|max }}{{ []|min }}{{ people[:3]|max(attribute='age')|tojson }}{{ xs|sum }}{{ people[:3]|sum(attribute='age') }}{{ [1.5, 2]|sum(start=10) }}{{ []|sum }}
{{ words|sum }}
{{ xs|first }}{{ xs|last }}{{ ''|first }}{{ []|last }}{{ 'abc'|first }}{{ 'abc'|last }}{{ d|first }}{{ d|last }}{{ [none]|last }}{{ [none]|first }}{{ xs|reverse|list }}{{ d|reverse|list|length }}
{{ xs|map('string')|last }}
{{ xs|map('string')|length }}
{% set g = xs|map('string') %}{{ g|join }}{{ g|join }}{{ g|first }}.{% set h = xs|map('string') %}{{ h|first }}{{ h|list }}{% set k = xs|select %}{{ 1 in k }}{{ k|list }}
{% set g = xs|map('string') %}{% for x in g %}{{ x }}{% break %}{% endfor %}{{ g|list }}
{{ (xs|map('string'))[0] }}{{ xs|map('string') is iterable }}{{ 'yes' if []|map('upper') else 'no' }}
{{ xs|join }}{{ xs|join(', ') }}{{ [1, none, 'a', 1.5]|join('|') }}{{ people|join(',', attribute='name') }}{{ xs|join(d='+') }}
{{ 3|join }}
{{ xs|length }}{{ 'é😀'|length }}{{ d|count }}{{ ()|length }}{{ range(4)|length }}
{{ 5|length }}
{{ none|length }}
{{ '42'|int }}{{ '42.7'|int }}{{ 'x'|int }}{{ 'x'|int(5) }}{{ 42.9|int }}{{ -42.9|int }}{{ '0x1f'|int(base=16) }}{{ 'ff'|int(0, 16) }}{{ none|int }}{{ true|int }}{{ ' 7 '|int }}{{ '1_000'|int }}{{ '101'|int(base=2) }}{{ '1e3'|int }}{{ []|int(3) }}
{{ '1.5'|float }}{{ 'x'|float }}{{ 'x'|float(2.5) }}{{ 1|float }}{{ '1e5'|float }}{{ 'inf'|float }}{{ '-nan'|float }}{{ none|float(1) }}{{ '1_0.5'|float }}
{{ 2.5|round }}{{ 3.5|round }}{{ 2.675|round(2) }}{{ 1234.567|round(-2) }}{{ 42|round }}{{ 45|round(-1) }}{{ 2.1|round(0, 'ceil') }}{{ 2.9|round(method='floor') }}{{ 2.55|round(1, 'ceil') }}{{ 7|round(1, 'floor') }}{{ -2.5|round }}{{ 0.5|round|int }}
{{ -5|abs }}{{ 2.5|abs }}{{ -0.0|abs }}{{ true|abs }}
{{ 'a'|abs }}
{{ 'a'|round }}
{{ text|trim }}|{{ 'xax'|trim('x') }}|{{ 12|trim }}|{{ text|string|length }}|{{ xs|string }}|{{ text|wordcount }}|{{ "don't stop-me é"|wordcount }}
{{ 'a\nb\n\nc'|indent }}|{{ 'a\nb'|indent(2, true) }}|{{ 'a\n\nb'|indent(2, blank=true) }}|{{ 'a\nb'|indent('> ', first=true) }}|{{ 'a\nb\n'|indent(1) }}|{{ ''|indent }}
{{ 5|indent }}
{{ 'foo bar baz qux'|truncate(9) }}|{{ 'foo bar baz qux'|truncate(9, true) }}|{{ 'foo bar baz'|truncate(9) }}|{{ 'foo bar baz qux'|truncate(9, false, '>', 0) }}|{{ 'abcdefghijkl'|truncate(5, leeway=0) }}
{{ 'a b&c/d=é?~'|urlencode }}|{{ {'a b': 1, 'c': '&/'}|urlencode }}|{{ [('x', 'y')]|urlencode }}|{{ 5|urlencode }}
{{ none|default('d') }}{{ none|default('d', true) }}{{ ''|d('e', boolean=true) }}{{ x|d }}{{ 0|default(5) }}{{ x|default(none) }}{{ (x.y is defined) if x is defined else 'safe' }}
{{ '<a&"\'>'|e }}{{ '<b>'|safe }}{{ '<'|escape ~ '<' }}{{ '<'|safe|e }}{{ ('<'|safe)|string }}{{ 'a<'|forceescape }}{{ ('&'|e) + '<' }}{{ ['<'|safe] }}
{{ d|attr('b') }}{{ 'a'|attr('upper') is callable }}{{ ('ab'|attr('upper'))() }}
{{ dict(a=1, b=2) }}{{ dict([('x', 1)], y=2) }}{{ dict({'q': 1}) }}{% set j = joiner('|') %}{{ j() }}a{{ j() }}b{{ range(3) }}{{ range(1, 10, 3)|list }}{{ range(3, 0, -1)|list }}{{ range(0)|list }}
{{ range(100001) }}
{{ range('a') }}
{{ range(1, 2, 0) }}
{{ xs.append(1) }}
{{ d.update({'a': 1}) }}
{{ xs.append }}{{ d.pop }}{{ xs.__class__ }}{{ ''.__class__ }}{{ d.__class__ is defined }}{{ xs['__class__'] }}{{ d._private }}
{{ ''.__class__.__mro__ }}
{{ ''['__class__']['__mro__'] }}
{{ xs.count(1) }}{{ xs.index(2) }}{{ xs.copy() }}{{ d.copy() == d }}{{ (1, 1).count(1) }}
{{ xs.index(9) }}
  {% if true %}  a  {% endif %}  b
a{% if true %}NLb{% endif %}NLc
a{%- if true %} b{%- endif %} c{{- 1 -}} d {#- c -#} e
NL  {% if true %}NL    xNL  {% endif %}NLy
NL  {%+ if true %}NL    xNL  {%+ endif +%}NLy
  {# comment #}  xNL  {# c2 #}NLy
  {{ n }}  NL  {{ n }}NL
{% raw %}{{ not }} {% if %}{% endraw %}NLx{%- raw -%}  a  {%- endraw -%}  b
{% raw %}unfinished
{{ "{{" }}{{ '%}' }}{{ '#}' }}{{ {'a': {'b': 1}}['a']['b'] }}{{ {'x': 1}}}
a{# {{ x }} #}b{#- -#}  c  {#+ c +#}
xNLNL
NLNLx{% set a = 1 %}NLNLy{% set b = 2 -%}NLNLz
{% if true -%}NL  aNL{%- elif false %}b{% else %}c{% endif %}
{%- for x in xs %}NL  {{- x }}NL{%- endfor %}
{%if true%}a{%endif%}{{n}}{%-if n-%} b {%-endif-%}
{% with a=1, b=n %}{{ a }}{{ b }}{% set n = 5 %}{{ n }}{% endwith %}{{ n }}{{ a }}
{% filter upper %}abc{{ d.b }}{% endfilter %}{% filter replace('a', 'b') | upper %}banana{% endfilter %}{% print 1, 'a' %}
{% if xs: %}colon{% endif %}{% for x in xs: %}{{ x }}{% endfor %}
{{ 1 if }}
{{ }}
{% if %}{% endif %}
{% for x in xs %}
{% endfor %}
{{ 'abc }}
{{ (1 }}
{{ a b }}
{{ 1 is odd is even }}
{{ x y
{% unknown %}
{# unfinished
{{ "\u12" }}
{{ [1, 2,] }}{{ (1,) }}{{ {'a': 1,} }}{{ dict(a=1,) }}{{ () }}{{ 1, 2 }}
{{ 'a'.upper().lower()|upper }}{{ ('a' ~ 'b')|upper }}{{ 'a'|upper ~ 'b' }}{{ 1 + 2|string|int }}{{ -3|abs }}{{ not n is odd }}{{ (1 + 1) is even }}{{ 2 * 3 ~ 4 ~ 5 }}
{{ messages[0]['role'] }}{{ messages[-1].content }}{{ messages[1:]|length }}{{ messages|last|attr('x') }}{{ (messages|first).content }}{{ messages[0].get('tool_calls') is none }}{{ 'tool_calls' in messages[0] }}
{{ messages[1].content }}{{ messages[1:2] }}
{% set content = messages[2].content %}{% if '</think>' in content %}{% set content = content.split('</think>')[-1].lstrip('\n') %}{% endif %}{{ content }}
{{ bos_token + 'x' }}{{ bos_token ~ n }}
{{ strftime_now('%d %b %Y|%Y-%m-%d|%H:%M:%S|%A %B %a|%I %p %j|%-d %-m|%y %e %F %T %%') }}
{{ 'a' 'b' if yes else 'c' }}{{ n if n else none }}{{ 5 if none_value is none and yes else 6 }}
{{ (1 == 1) }}{{ (n > 5) and 'big' }}{{ (n > 5)|string|lower }}{{ 'x' if (n > 5) == true }}
{{ 9007199254740993 }} {{ 9007199254740993 + 1 }} {{ 10 ** 20 // 3 }} {{ 10 ** 20 % 7 }} {{ 1e308 * 10 }} {{ -1e308 * 10 }} {{ 5 // 0.3 }} {{ 1 // 0.1 }} {{ -1 % 0.3 }}
{{ 0.1 }} {{ 100.0 }} {{ 1.10 }} {{ 3.0e10 }} {{ 1e100 }} {{ 5e-324 }} {{ 1.7976931348623157e308 }} {{ 12345678.9 }} {{ 0.00012 }}
{{ 10 ** 5000 }}
{{ 2.0 ** 10000 }}
{{ 0.0 ** -1 }}
{{ {[1]: 2} }}
{{ loop is defined }}{{ caller is defined }}{{ varargs is defined }}{{ range is defined }}{{ true is defined }}
{{ x if x is defined else 'no x' }}{{ (x|default({})).get('a', 'none') }}{{ (d.nope or [])|length }}
{% set t %}{{ d.b }}{% endset %}{{ t is string }}{{ t == '1' }}{% set u = [] %}{% set u = u + [1] %}{% set u = u + [n] %}{{ u }}
{% macro kw(**x) %}{% endmacro %}
{% macro m(a, b='d') %}{{ a }}-{{ b }}{% endmacro %}{% for x in xs %}{{ m(x, b=loop.index) }} {% endfor %}
{{ 'line one' | replace(' ', '\n') | indent(2) }}{{ 'A-B'.lower().replace('-', '_') }}
{% set parts = 'a: 1\nb: 2'.split('\n') %}{% for p in parts %}{% set k, v = p.split(': ') %}{{ k }}={{ v }} {% endfor %}
{% for a in xs %}{% for b in words %}{{ loop.first }}{{ a }}{{ b }}{% if loop.index == 2 %}{% break %}{% endif %}{% else %}E{% endfor %}{% else %}F{% endfor %}
{% for x in [] %}{% else %}{% for y in [1] %}{% break %}{% endfor %}ok{% endfor %}
{% for k, vs in [('a', [1, 2]), ('b', [])] %}{{ k }}{% for v in vs %}{{ v }}{% else %}-{% endfor %}{% endfor %}{% for (a, b), c in [((1, 2), 3)] %}{{ a }}{{ b }}{{ c }}{% endfor %}
"""


def snippets():
    return [line.replace("NL", "\n") for line in SNIPPETS.strip("\n").split("\n")]
