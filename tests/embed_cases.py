"""Tiny projects that a builder must not change: name -> {path: text}.

Each is run as it stands and built; `main.py` is the kernel. A value of bytes is
a binary file.
"""

import re
from pathlib import Path

Project = dict[str, str | bytes]

IMPORTS: dict[str, Project] = {
    "a plain import": {
        "main.py": "import helper\nprint(helper.double(4), helper.__name__)\n",
        "helper.py": "def double(x):\n    return 2 * x\n",
    },
    "sub-packages three levels deep": {
        "main.py": "import a.b.c.d as d\nfrom a.b import c\nprint(d.X, c.d is d)\n",
        "a/__init__.py": "print('a', __name__, __package__)\n",
        "a/b/__init__.py": "print('b')\n",
        "a/b/c/__init__.py": "print('c')\n",
        "a/b/c/d.py": "X = __name__\n",
    },
    "relative imports up and down": {
        "main.py": "from pkg.sub.deep import value\nprint(value)\n",
        "pkg/__init__.py": "",
        "pkg/base.py": "BASE = 5\n",
        "pkg/sub/__init__.py": "from .. import base\nfrom . import sibling\n",
        "pkg/sub/sibling.py": "from ..base import BASE as B\n",
        "pkg/sub/deep.py": "from .sibling import B\nfrom ..base import BASE\n"
        "value = B + BASE\n",
    },
    "circular imports": {
        "main.py": "import left\nprint(left.go(3))\n",
        "left.py": "import right\ndef go(n):\n    return right.back(n)\n"
        "NAME = 'left'\n",
        "right.py": "import left\ndef back(n):\n    return left.NAME * n\n",
    },
    "circular from-imports inside a package": {
        "main.py": "from pkg import A, B\nprint(A().other(), B().other())\n",
        "pkg/__init__.py": "from .a import A\nfrom .b import B\n",
        "pkg/a.py": "class A:\n    def other(self):\n        from .b import B\n"
        "        return B.__name__\n",
        "pkg/b.py": "from .a import A\nclass B:\n    def other(self):\n"
        "        return A.__name__\n",
    },
    "modules imported by a computed name": {
        "main.py": "import importlib\n"
        "for name in ('one', 'two'):\n"
        "    print(importlib.import_module('plugins.' + name).VALUE)\n"
        "print(importlib.import_module('.two', 'plugins').VALUE)\n"
        "print(__import__('plug' + 'ins').two.VALUE)\n",
        "plugins/__init__.py": "",
        "plugins/one.py": "from shared import BASE\nVALUE = BASE + 1\n",
        "plugins/two.py": "VALUE = 2\n",
        "shared.py": "BASE = 0\n",
    },
    "a loose module imported by a computed name": {
        "main.py": "import importlib, sys\n"
        "for letter in 'ab':\n"
        "    print(importlib.import_module(f'part_{letter}').V)\n",
        "part_a.py": "V = 'A'\n",
        "part_b.py": "V = 'B'\n",
    },
    "modules named in a configuration file": {
        "main.py": "import core\nprint(core.make('first'), core.make('second'))\n",
        "core.py": "import json, pathlib, pydoc\n"
        "CONFIG = json.loads(pathlib.Path(__file__).with_name('c.json').read_text())\n"
        "def make(key):\n    return pydoc.locate(CONFIG[key])().name\n",
        "c.json": '{"first": "impl.one.One", "second": "impl.two.Two"}\n',
        "impl/__init__.py": "",
        "impl/one.py": "class One:\n    name = 'one'\n",
        "impl/two.py": "class Two:\n    name = 'two'\n",
    },
    "pkgutil walks a package of plugins": {
        "main.py": "import plugins\nprint(sorted(plugins.REGISTRY))\n",
        "plugins/__init__.py": "import importlib, pkgutil\nREGISTRY = {}\n"
        "def register(f):\n    REGISTRY[f.__name__] = f\n    return f\n"
        "for info in pkgutil.iter_modules(__path__):\n"
        "    importlib.import_module(f'{__name__}.{info.name}')\n",
        "plugins/add.py": "from . import register\n@register\ndef add(a, b):\n"
        "    return a + b\n",
        "plugins/mul.py": "from . import register\n@register\ndef mul(a, b):\n"
        "    return a * b\n",
    },
    "a folder is listed for its modules": {
        "main.py": "import loader\nprint(loader.names())\n",
        "loader.py": "import os, importlib\nHERE = os.path.dirname(__file__)\n"
        "def names():\n"
        "    found = sorted(n for n in os.listdir(HERE) if n.endswith('.py'))\n"
        "    mods = [importlib.import_module(n[:-3]) for n in found\n"
        "            if n.startswith('task_')]\n"
        "    return found, [m.__name__ for m in mods]\n",
        "task_x.py": "",
        "task_y.py": "",
    },
    "conditional imports": {
        "main.py": "import sys\nif sys.version_info > (3,):\n    from new import f\n"
        "else:\n    from old import f\n"
        "try:\n    import fast_not_installed as impl\nexcept ImportError:\n"
        "    import slow as impl\nprint(f(), impl.f())\n",
        "new.py": "def f():\n    return 'new'\n",
        "old.py": "def f():\n    return 'old'\n",
        "slow.py": "def f():\n    return 'slow'\n",
    },
    "star imports with and without __all__": {
        "main.py": "from listed import *\nfrom plain import *\n"
        "print(sorted(n for n in globals() if not n.startswith('__')))\n",
        "listed.py": "__all__ = ['_a', 'b']\n_a = 1\nb = 2\nc = 3\n",
        "plain.py": "import os as _os\n_x = 1\ny = 2\n",
    },
    "namespace packages": {
        "main.py": "import ns.inner.leaf\nprint(ns.inner.leaf.V, ns.__file__, "
        "ns.__spec__.loader is not None, len(list(ns.__path__)))\n",
        "ns/inner/leaf.py": "V = __package__\n",
    },
    "a namespace of which nothing is used": {
        "main.py": "import shared\nprint(shared.__name__, shared.__spec__.origin)\n",
        "shared/one.py": "",
        "shared/note.txt": "",
    },
    "a lazy package __getattr__": {
        "main.py": "import lazy\nprint(dir(lazy))\nprint(lazy.heavy(2))\n"
        "try:\n    lazy.nothing\nexcept AttributeError as e:\n    print(e)\n",
        "lazy/__init__.py": "import importlib\n_WHERE = {'heavy': '.work'}\n"
        "def __getattr__(name):\n    if name in _WHERE:\n"
        "        return getattr(importlib.import_module(_WHERE[name], 'lazy'), name)\n"
        "    raise AttributeError(f'no {name}')\n"
        "def __dir__():\n    return sorted(_WHERE)\n",
        "lazy/work.py": "def heavy(x):\n    return x ** 10\n",
    },
    "a module that imports the kernel by name": {
        "main.py": "import tool\nVALUE = 7\ndef hook():\n    return VALUE, __name__\n"
        "if __name__ == '__main__':\n    print(tool.call())\n",
        "tool.py": "def call():\n    import main\n    return main.hook()\n",
    },
    "a module that reads __main__": {
        "main.py": "import tool\nVALUE = 7\nprint(tool.look())\n",
        "tool.py": "import __main__, sys\ndef look():\n"
        "    return __main__.VALUE, sys.modules['__main__'] is __main__\n",
    },
    "reload keeps the module object": {
        "main.py": "import importlib, counter\ncounter.n += 5\nold = counter\n"
        "importlib.reload(counter)\nprint(counter.n, counter is old)\n",
        "counter.py": "n = globals().get('n', 0) + 1\n",
    },
    "a folder put on sys.path by hand": {
        "main.py": "import os, sys\n"
        "sys.path.insert(0, os.path.join(os.path.dirname(__file__), 'lib'))\n"
        "import deep\nprint(deep.V)\n",
        "lib/deep.py": "from other import W\nV = W + 1\n",
        "lib/other.py": "W = 1\n",
    },
    "spec_from_file_location beside the module": {
        "main.py": "import loader\nprint(loader.load('extra_mod.py').V)\n",
        "loader.py": "import importlib.util, pathlib\ndef load(name):\n"
        "    path = pathlib.Path(__file__).parent / name\n"
        "    spec = importlib.util.spec_from_file_location('loaded', path)\n"
        "    module = importlib.util.module_from_spec(spec)\n"
        "    spec.loader.exec_module(module)\n    return module\n",
        "extra_mod.py": "V = __name__\n",
    },
    "runpy runs a module and a package": {
        "main.py": "import runpy\nrunpy.run_module('tasks.job', run_name='__main__')\n"
        "print(runpy.run_module('tasks')['X'])\n",
        "tasks/__init__.py": "",
        "tasks/__main__.py": "X = 'package main'\n",
        "tasks/job.py": "if __name__ == '__main__':\n    print('job runs')\n",
    },
    "equal names in several modules": {
        "main.py": "from m1 import f as f1\nfrom m2 import f as f2\n"
        "import m1, m2\nprint(f1(), f2(), m1._K, m2._K)\n",
        "m1.py": "_K = 1\ndef f():\n    return _K\n",
        "m2.py": "_K = 2\ndef f():\n    return _K\n",
    },
    "a module that hides builtins": {
        "main.py": "from loud import print as shout\nprint('plain')\nshout('x')\n",
        "loud.py": "import builtins\ndef print(*a):\n    builtins.print('LOUD', *a)\n"
        "def len(x):\n    return -1\n",
    },
}

STATE: dict[str, Project] = {
    "state changed through the module object": {
        "main.py": "import state\nfrom state import bump\nbump()\nstate.count += 10\n"
        "bump()\nprint(state.count, state.read())\n",
        "state.py": "count = 0\ndef bump():\n    global count\n    count += 1\n"
        "def read():\n    return count\n",
    },
    "monkeypatching a module": {
        "main.py": "import low, high\nlow.fetch = lambda: 'patched'\n"
        "print(high.run())\n"
        "from unittest import mock\nwith mock.patch('low.fetch', lambda: 'mock'):\n"
        "    print(high.run())\nprint(high.run())\n",
        "low.py": "def fetch():\n    return 'real'\n",
        "high.py": "import low\ndef run():\n    return low.fetch()\n",
    },
    "a decorator registry over several modules": {
        "main.py": "import models\nfrom registry import MODELS\nprint(list(MODELS))\n",
        "registry.py": "MODELS = {}\ndef register(name):\n    def wrap(c):\n"
        "        MODELS[name] = c\n        return c\n    return wrap\n",
        "models.py": "from registry import register\n@register('small')\n"
        "class Small: pass\n@register('big')\nclass Big: pass\n",
    },
    "__init_subclass__ and metaclass registries": {
        "main.py": "import kinds\nfrom base import Base\n"
        "print([c.__module__ + '.' + c.__name__ for c in Base.known])\n",
        "base.py": "class Base:\n    known = []\n    def __init_subclass__(cls):\n"
        "        Base.known.append(cls)\n",
        "kinds.py": "from base import Base\nclass One(Base): pass\n"
        "class Two(Base): pass\n",
    },
    "singledispatch over modules": {
        "main.py": "import more\nfrom show import show\nprint(show(1), show('a'), "
        "show([1]))\n",
        "show.py": "from functools import singledispatch\n@singledispatch\n"
        "def show(x):\n    return 'any'\n@show.register\ndef _(x: int):\n"
        "    return 'int'\n",
        "more.py": "from show import show\n@show.register(str)\ndef _(x):\n"
        "    return 'str'\n",
    },
    "enums and their names": {
        "main.py": "from kinds import Kind\nimport pickle\n"
        "print(repr(Kind.A), Kind('b'), Kind.__module__, Kind.A is "
        "pickle.loads(pickle.dumps(Kind.A)))\n",
        "kinds.py": "from enum import Enum, auto\nclass Kind(Enum):\n    A = 'a'\n"
        "    B = 'b'\n",
    },
    "dataclasses with postponed annotations": {
        "main.py": "from __future__ import annotations\nimport typing\n"
        "from shapes import Box\nfrom dataclasses import dataclass, fields\n"
        "@dataclass\nclass Local:\n    box: Box\n    n: int = 3\n"
        "print(typing.get_type_hints(Box), typing.get_type_hints(Local))\n"
        "print(fields(Local)[0].type, Local.__annotations__, Local(Box(None)))\n",
        "shapes.py": "from __future__ import annotations\n"
        "from dataclasses import dataclass\nfrom parts import Lid\n@dataclass\n"
        "class Box:\n    lid: Lid | None\n    inner: 'Box | None' = None\n",
        "parts.py": "class Lid:\n    pass\n",
    },
    "annotations of the kernel": {
        "main.py": '"""The doc."""\nx: int = 1\ny: "str"\nimport helper\n'
        "print(__annotations__, __doc__, __name__, __package__, __spec__)\n"
        "print(list(k for k in globals() if not k.startswith('__')))\n"
        "print(vars().keys() == globals().keys(), helper.V)\n",
        "helper.py": "V = 1\n",
    },
    "pickles keep module names": {
        "main.py": "import pickle, pickletools\nfrom pkg.model import Model\n"
        "class Own:\n    pass\n"
        "data = pickle.dumps([Model(3), Own()], protocol=2)\nprint(b'cpkg.model\\n' in "
        "data, b'c__main__\\n' in data)\n"
        "print(pickle.loads(data)[0].n, type(pickle.loads(data)[1]))\n"
        "open('model.pkl', 'wb').write(data)\n",
        "pkg/__init__.py": "",
        "pkg/model.py": "class Model:\n    def __init__(self, n):\n"
        "        self.n = n\n",
    },
    "module-level caches and generators": {
        "main.py": "from cache import f, CACHE\nimport cache\nprint(f(3), f(3), "
        "cache.f.cache_info().hits, CACHE is cache.CACHE)\n",
        "cache.py": "from functools import lru_cache\nCACHE = {}\n@lru_cache\n"
        "def f(x):\n    CACHE[x] = True\n    return x * x\n",
    },
    "context variables and logging set up at import": {
        "main.py": "import logs\nimport logging\nlogging.getLogger('p').warning('hi')\n"
        "logs.emit()\n",
        "logs.py": "import logging, sys\nlogging.basicConfig(stream=sys.stdout,\n"
        "    format='%(name)s %(module)s %(funcName)s %(filename)s %(message)s')\n"
        "LOG = logging.getLogger(__name__)\ndef emit():\n    LOG.error('from logs')\n",
    },
    "logging names the package's line": {
        "main.py": "import logs\nlogs.emit()\n",
        "logs.py": "import logging, sys\nlogging.basicConfig(stream=sys.stdout,\n"
        "    format='%(filename)s:%(lineno)d %(message)s')\ndef emit():\n\n"
        "    logging.error('line six')\n    logging.info('not shown')\n",
    },
    "warnings name the package's line": {
        "main.py": "import noisy\nnoisy.warn()\n",
        "noisy.py": "import warnings, sys, os\ndef show(m, c, f, n, *a):\n"
        "    print(os.path.basename(f), n, m)\nwarnings.showwarning = show\n"
        "def warn():\n    warnings.warn('careful')\n",
    },
    "an argument parser without arguments": {
        "main.py": '"""Tool text."""\nimport argparse\nfrom opts import add\n'
        "p = argparse.ArgumentParser(description=__doc__, prog='p')\nadd(p)\n"
        "args = p.parse_args()\nprint(args, p.format_help())\n",
        "opts.py": "def add(p):\n    p.add_argument('--n', type=int, default=4)\n",
    },
    "exit codes": {
        "main.py": "import sys\nfrom work import main\nsys.exit(main())\n",
        "work.py": "def main():\n    print('leaving')\n    return 7\n",
    },
    "an atexit handler of a module": {
        "main.py": "import late\nprint('end of main')\n",
        "late.py": "import atexit\n@atexit.register\ndef bye():\n"
        "    import also_late\n    print('bye', also_late.V)\n",
        "also_late.py": "V = 1\n",
    },
    "threads import lazily": {
        "main.py": "import threading\nout = []\ndef go(i):\n    from work import f\n"
        "    out.append(f(i))\nts = [threading.Thread(target=go, args=(i,)) for i in "
        "range(8)]\n[t.start() for t in ts]\n[t.join() for t in ts]\n"
        "print(sorted(out))\n",
        "work.py": "import time\ntime.sleep(0.01)\ndef f(i):\n    return i * i\n",
    },
    "async code": {
        "main.py": "import asyncio\nfrom jobs import run\nprint(asyncio.run(run(3)))\n",
        "jobs.py": "import asyncio\nasync def one(i):\n    await asyncio.sleep(0)\n"
        "    return i\nasync def run(n):\n"
        "    return await asyncio.gather(*(one(i) for i in range(n)))\n",
    },
    "an unhandled error of the kernel itself": {
        "main.py": "from work import f\n\n\ndef g():\n    return f(0)\n\n\n"
        "print('before')\ng()\n",
        "work.py": "def f(x):\n    # a comment\n    return 1 / x\n",
    },
    "chained errors and notes": {
        "main.py": "from work import f\nf()\n",
        "work.py": "def f():\n    try:\n        {}['k']\n    except KeyError as e:\n"
        "        raise ValueError('outer') from e\n",
    },
    "a traceback printed by hand": {
        "main.py": "import traceback, sys\nfrom work import f\ntry:\n    f(0)\n"
        "except ZeroDivisionError as e:\n\n"
        "    t = traceback.extract_tb(e.__traceback__)\n"
        "    print([(s.name, s.line) for s in t], t[-1].lineno)\n",
        "work.py": "def f(x):\n    # a comment\n    return 1 / x\n",
    },
    "a syntax error in a module imported by name": {
        "main.py": "import importlib\ntry:\n    importlib.import_module('broken')\n"
        "except SyntaxError as e:\n    print(e.lineno, e.text)\n",
        "broken.py": "x = 1\ny = = 2\n",
    },
    "a failing import": {
        "main.py": "try:\n    import bad\nexcept RuntimeError as e:\n    print(e)\n"
        "import sys\nprint('bad' in sys.modules)\nimport missing_third_party\n",
        "bad.py": "raise RuntimeError('at import')\n",
    },
}

FILES: dict[str, Project] = {
    "a data file opened beside __file__": {
        "main.py": "from pkg.data import TABLE\nprint(TABLE)\n",
        "pkg/__init__.py": "",
        "pkg/data.py": "import json, os\nwith open(os.path.join(os.path.dirname("
        "__file__), 'table.json')) as f:\n    TABLE = json.load(f)\n",
        "pkg/table.json": '{"a": [1, 2],\n "b": "\\u00e9"}\n',
    },
    "importlib.resources": {
        "main.py": "from importlib import resources\nimport pkg\n"
        "root = resources.files('pkg')\nprint(root.joinpath('words.txt').read_text())\n"
        "print(sorted(p.name for p in root.joinpath('deep').iterdir()))\n"
        "with resources.as_file(root / 'deep' / 'b.bin') as p:\n"
        "    print(p.read_bytes())\n",
        "pkg/__init__.py": "",
        "pkg/words.txt": "one\ntwo\n",
        "pkg/deep/a.txt": "a",
        "pkg/deep/b.bin": bytes(range(256)),
    },
    "pkgutil.get_data": {
        "main.py": "import pkgutil\nprint(pkgutil.get_data('pkg', 'res/x.csv'))\n",
        "pkg/__init__.py": "",
        "pkg/res/x.csv": "a,b\r\n1,2\r\n",
    },
    "data with every kind of line end": {
        "main.py": "import pkgutil\nfor n in ('cr', 'crlf', 'mix', 'none', 'empty', "
        "'nul', 'latin', 'bom'):\n"
        "    print(n, pkgutil.get_data('pkg', n + '.txt'))\n",
        "pkg/__init__.py": "",
        "pkg/cr.txt": b"a\rb\r",
        "pkg/crlf.txt": b"a\r\nb\r\n",
        "pkg/mix.txt": b"a\r\nb\nc\r",
        "pkg/none.txt": b"no end",
        "pkg/empty.txt": b"",
        "pkg/nul.txt": b"a\0b",
        "pkg/latin.txt": b"caf\xe9",
        "pkg/bom.txt": b"\xef\xbb\xbfx",
    },
    "a data file beside loose modules": {
        "main.py": "import conf\nprint(conf.load('en'), conf.load('de'))\n",
        "conf.py": "import pathlib\ndef load(lang):\n"
        "    here = pathlib.Path(__file__).parent\n"
        "    return (here / 'lang' / f'{lang}.txt').read_text(encoding='utf-8')\n",
        "lang/en.txt": "hello",
        "lang/de.txt": "grüß dich",
    },
    "the kernel reads a file beside itself": {
        "main.py": "from pathlib import Path\nimport helper\n"
        "print(Path(__file__).with_name('conf.json').read_text(), helper.V)\n"
        "print(Path(__file__).name)\n",
        "conf.json": '{"k": 1}',
        "helper.py": "V = 1\n",
    },
    "the kernel makes its own folder the working one": {
        "main.py": "import os, helper\n"
        "os.chdir(os.path.dirname(os.path.abspath(__file__)))\n"
        "print(open('conf.json').read(), helper.V)\n",
        "conf.json": '{"k": 1}',
        "helper.py": "V = 1\n",
    },
    "outputs go to the working folder": {
        "main.py": "import out\nout.save('a.txt')\nimport os\nos.makedirs('sub')\n"
        "out.save('sub/b.txt')\n",
        "out.py": "def save(path):\n    with open(path, 'w') as f:\n"
        "        f.write('saved')\n",
    },
    "an executable script among the data": {
        "main.py": "import subprocess, sys, pathlib, pkg\n"
        "s = pathlib.Path(pkg.__file__).with_name('run.py')\n"
        "print(subprocess.run([sys.executable, s, '4'], capture_output=True, "
        "text=True).stdout)\n",
        "pkg/__init__.py": "",
        "pkg/run.py": "import sys\nprint(int(sys.argv[1]) * 2)\n",
    },
    "sqlite and csv files": {
        "main.py": "import tables\nprint(tables.rows())\n",
        "tables.py": "import csv, pathlib\ndef rows():\n"
        "    with open(pathlib.Path(__file__).parent / 'rows.csv', newline='') as f:\n"
        "        return list(csv.DictReader(f))\n",
        "rows.csv": 'id,text\n1,"a ""quoted"" \'\'\' line"\n2,"two\nlines"\n',
    },
}

SOURCES: dict[str, Project] = {
    "inspect.getsource of everything": {
        "main.py": "import inspect\nfrom pkg import mod\n"
        "print(inspect.getsource(mod))\nprint(inspect.getsource(mod.f))\n"
        "print(inspect.getsource(mod.C))\nprint(inspect.getsourcelines(mod.C.m)[1])\n"
        "print(inspect.getdoc(mod.C), inspect.getmodule(mod.f).__name__)\n"
        "def own(a):\n    '''Own doc.'''\n    return a\nclass Own:\n    y = 2\n"
        "print(inspect.getsource(own), inspect.getsource(Own))\n",
        "pkg/__init__.py": "",
        "pkg/mod.py": '"""Module doc.\n\n\'single\' and \\"double\\".\n"""\n\n\n'
        "def f(x):\n    # comment\n    return x\n\n\nclass C:\n    '''Class doc.'''\n\n"
        "    def m(self):\n        return 1\n",
    },
    "sources full of quotes and backslashes": {
        "main.py": "import q1, q2, q3, q4\nprint(q1.A, q2.B, q3.C, repr(q4.D))\n",
        "q1.py": "A = '''triple'''\n",
        "q2.py": "B = \"\"\"triple\"\"\"\nX = '''both'''  # \\\n",
        "q3.py": "C = \"'''\" + '\"\"\"' + '\\\\'  # '''\"\"\"\\",
        "q4.py": "D = r'\\d+\\'' + '\\x00\\t\\\\'\n# ends with a backslash \\\\",
    },
    "strings that look like a pasted session": {
        "main.py": "import m\nT = '''\n>>> x\n    \n  >>> y\n... z\n\x0c\nIn [1]: q\n"
        "'''\nR = r'''\n   >>> raw\n \t\n'''\nF = f'''\n    \n{1}'''\n"
        "print([T, R, F, m.T, m.f.__doc__], __doc__)\n",
        "m.py": "T = '''\n>>> x\n    \n  >>> y\n... z\n'''\n\x0c\ndef f():\n"
        "    '''\n    >>> f()\n    1\n    '''\n",
    },
    "sources in other encodings": {
        "main.py": "# -*- coding: latin-1 -*-\nimport old, new\nprint(old.S, new.S, "
        "'\xe9')\n".encode("latin-1"),
        "old.py": "# coding: latin-1\nS = '\xe4\xf6'\n".encode("latin-1"),
        "new.py": "S = 'λ ☃ 𝄞'\n",
    },
    "sources with Windows line ends and form feeds": {
        "main.py": "import win\r\nprint(win.f(1),\r\n      repr(win.T))\r\n",
        "win.py": b"def f(x):\r\n    return x + 1\r\n\x0c\r\nT = '''a\r\nb'''\r\n",
    },
    "no line end at the end": {
        "main.py": "import tail\nprint(tail.X)",
        "tail.py": "X = 1",
    },
    "text that looks like the tool's own": {
        "main.py": "import tricky\nprint(tricky.T, len(tricky.T))\n",
        "tricky.py": "T = \"_kk.write('x', r''')\"\n# %% not a cell\n"
        "# ''' ) \n# from __future__ import x\n",
    },
    "a docstring, comments and future imports first": {
        "main.py": "#!/usr/bin/env python\n# A comment.\n'''The\ndoc.'''\n"
        "# another\nfrom __future__ import annotations\n"
        "from __future__ import division; import helper\nprint(__doc__, helper.V)\n"
        "def f(x: Undefined) -> Nothing: ...\nprint(f.__annotations__)\n",
        "helper.py": "V = 1\n",
    },
    "a future import only": {
        "main.py": "from __future__ import annotations\nimport helper\n"
        "def f(x: Undefined): ...\nprint(helper.f.__annotations__)\n",
        "helper.py": "def f(x: int): ...\n",
    },
    "long lines and deep folders": {
        "main.py": "from a.b.c.d.e.f import V\nprint(len(V))\n",
        "a/b/c/d/e/f.py": f"V = '{'x' * 5000}'\n",
    },
    "names that are not ASCII": {
        "main.py": "from größe import maß\nprint(maß('ü'))\n",
        "größe.py": "def maß(s):\n    return s * 2\n",
    },
}

WORKERS: dict[str, Project] = {
    f"{method} workers": {
        "main.py": "import multiprocessing as mp\nfrom pkg.work import square, where\n"
        "def own(x):\n    return -x\n"
        "if __name__ == '__main__':\n"
        f"    with mp.get_context('{method}').Pool(2) as pool:\n"
        "        print(pool.map(square, range(5)), pool.map(own, range(3)))\n"
        "        print(set(pool.map(where, range(4))) == {where(0)})\n",
        "pkg/__init__.py": "",
        "pkg/work.py": "def square(x):\n    from pkg.late import SCALE\n"
        "    return x * x * SCALE\n"
        "def where(_):\n    import os\n    return os.path.dirname(__file__)\n",
        "pkg/late.py": "SCALE = 1\n",
    }
    for method in ("fork", "spawn", "forkserver")
}
WORKERS["a process pool executor that returns objects"] = {
    "main.py": "import multiprocessing as mp\n"
    "from concurrent.futures import ProcessPoolExecutor\nfrom model import Model, fit\n"
    "if __name__ == '__main__':\n"
    "    with ProcessPoolExecutor(2, mp_context=mp.get_context('spawn')) as pool:\n"
    "        print([m.n for m in pool.map(fit, [Model(1), Model(2)])])\n",
    "model.py": "class Model:\n    def __init__(self, n):\n        self.n = n\n"
    "def fit(m):\n    return Model(m.n * 10)\n",
}
WORKERS["os.fork leaves the parent's files alone"] = {
    "main.py": "import os, sys\nimport pkg\npid = os.fork()\nif pid == 0:\n"
    "    sys.exit(0)\nos.waitpid(pid, 0)\nimport pkg.late\nprint(pkg.late.V)\n",
    "pkg/__init__.py": "",
    "pkg/late.py": "V = 'still here'\n",
}


def _longer() -> dict[str, Project]:
    """Read the projects that need more than a line or two per file."""
    text = (Path(__file__).parent / "embed_projects.txt").read_text("utf-8")
    found: dict[str, Project] = {}
    for part in re.split(r"^==== ", text, flags=re.M)[1:]:
        name, _, files = part.partition("\n")
        _, *pieces = re.split(r"^-- (.+)\n", files, flags=re.M)
        found[name] = dict(zip(pieces[::2], pieces[1::2], strict=True))
    return found


LONGER = _longer()
PLAIN = {**IMPORTS, **STATE, **FILES, **SOURCES, **WORKERS, **LONGER}
