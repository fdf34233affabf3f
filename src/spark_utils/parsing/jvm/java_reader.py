"""The Java function that reads good bodies, compiled when it is first needed by the compiler that Spark brings along.

The wheel holds the source (``java/BodyReader.java`` and its neighbours), so nothing has to be built or installed, and
every version of Spark and Java gets classes of its own. They reach the executors as a jar of the application, unless
they are on the class path already, as in local sessions of the dev kit.
"""

from __future__ import annotations

import logging
import tempfile
import threading
import zipfile
from pathlib import Path
from typing import Any

from py4j.protocol import Py4JError  # type: ignore[import-untyped]
from pyspark import SparkFiles
from pyspark.errors import PySparkException
from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as t

from spark_utils.errors import RuntimeSetupError
from spark_utils.parsing.columns import bare_type, nullable_type
from spark_utils.parsing.jvm.java_sources import package, write_sources
from spark_utils.parsing.reasons import Limits
from spark_utils.parsing.reference import UnknownPolicy
from spark_utils.streaming_utils.root_cause import root_cause

_CLASS = "BodyReader"
_LARGEST_INT = 2**31 - 1  # bytes; no array of Java's is longer

_log = logging.getLogger(__name__)
_lock = threading.RLock()
_available: dict[str, bool] = {}  # the id of the running application
_loaders: dict[str, Any] = {}  # the id of the running application, and the loader of its compiled classes


def read_type(schema: t.StructType, unknown: UnknownPolicy) -> t.StructType:
    """Return what the function gives for a good body: ``event``, and its unknown fields or their number."""
    drift = t.IntegerType() if unknown == "count" else t.StringType()
    return t.StructType([t.StructField("event", nullable_type(schema)), t.StructField("unknown", drift)])


def read_bodies(
    spark: SparkSession, body: Column, schema: t.StructType, limits: Limits, unknown: UnknownPolicy
) -> Column:
    """Return the column of type ``read_type`` over a column of bodies; null where a body is not good.

    It is declared nondeterministic, or a filter on the event would read a second time.

    Raises:
        RuntimeSetupError: the session has no JVM to compile in, such as Spark Connect's, or it refuses.
    """
    try:
        jvm: Any = spark.sparkContext._jvm
        loader = _loader(spark)
        # Without metadata, some of which Spark's JVM cannot read.
        arguments = (bare_type(schema).json(), min(limits.max_body_bytes, _LARGEST_INT), limits.max_depth, unknown)
        (constructor,) = loader.loadClass(f"{package()}.{_CLASS}").getConstructors()
        reader = constructor.newInstance(_array(spark, jvm.Object, arguments))
        returned = spark._jsparkSession.parseDataType(read_type(schema, unknown).json())
        # By reflection: to py4j, `udf(UDF1, DataType)` and `udf(Object, DataType)` fit equally well, and it takes any.
        kinds = [loader.loadClass(f"org.apache.spark.sql.{name}") for name in ("api.java.UDF1", "types.DataType")]
        make = loader.loadClass("org.apache.spark.sql.functions").getMethod("udf", _array(spark, jvm.Class, kinds))
        function = make.invoke(None, _array(spark, jvm.Object, (reader, returned)))
        function = function.withName("read_body").asNondeterministic()
        return Column(function.apply(_array(spark, jvm.org.apache.spark.sql.Column, [body._jc])))
    except (Py4JError, PySparkException, AttributeError, TypeError, OSError) as refusal:
        raise RuntimeSetupError(
            f"bodies cannot be read in the JVM: {root_cause(refusal)}",
            origin="parse with engine='jvm'",
            remedy="Use engine='arrow'.",
        ) from refusal


def is_available(spark: SparkSession) -> bool:
    """Tell whether bodies can be read in the JVM; on a cluster by reading one there, once per application."""
    try:
        application = spark.sparkContext.applicationId
    except (PySparkException, AttributeError, NotImplementedError):
        return False  # Spark Connect
    with _lock:
        if application not in _available:
            _available.clear()
            try:
                _available[application] = _reads_one_body(spark)
            except (RuntimeSetupError, Py4JError, PySparkException) as refusal:
                _log.warning("bodies are read by Arrow, which is slower than the JVM: %s", root_cause(refusal))
                _available[application] = False
        return _available[application]


def _reads_one_body(spark: SparkSession) -> bool:
    body = F.lit(b'{"id":1}')
    read = read_bodies(spark, body, t.StructType([t.StructField("id", t.LongType())]), Limits(), "keep")
    if str(spark.sparkContext.master).startswith("local"):
        return True  # the executor is this JVM
    ((found,),) = spark.range(1).select(read.getField("event").getField("id")).collect()
    return bool(found == 1)


def _array(spark: SparkSession, kind: Any, values: Any) -> Any:
    array = spark.sparkContext._gateway.new_array(kind, len(values))  # type: ignore[union-attr]
    for place, value in enumerate(values):
        array[place] = value
    return array


def _loader(spark: SparkSession) -> Any:
    """Find the classes on the class path, or compile them, once per application, and hand them to its executors."""
    application = spark.sparkContext.applicationId
    with _lock:
        if application not in _loaders:
            _loaders.clear()
            here = spark.sparkContext._jvm.java.lang.Thread.currentThread().getContextClassLoader()  # type: ignore[union-attr]
            _loaders[application] = here if _knows_classes(here) else _compile(spark, here)
        return _loaders[application]


def _knows_classes(loader: Any) -> bool:
    return loader.getResource(f"{package()}.{_CLASS}".replace(".", "/") + ".class") is not None


def _compile(spark: SparkSession, parent: Any) -> Any:
    """Compile in the driver; return the loader of the classes."""
    jvm: Any = spark.sparkContext._jvm
    commons = jvm.org.codehaus.commons.compiler
    compiler = commons.CompilerFactoryFactory.getDefaultCompilerFactory(parent).newCompiler()
    made = commons.util.resource.MapResourceCreator()
    compiler.setClassFileCreator(made)
    with tempfile.TemporaryDirectory() as folder:
        sources = [jvm.java.io.File(str(source)) for source in write_sources(Path(folder))]
        compiler.compile(_array(spark, jvm.java.io.File, sources))
    files = {str(name): bytes(made.getMap()[name]) for name in made.getMap()}
    classes = jvm.java.util.HashMap()
    for name, content in files.items():
        classes[name.removesuffix(".class").replace("/", ".")] = content
    # Spark removes the folder of its files when it stops.
    jar = Path(tempfile.mkdtemp(dir=SparkFiles.getRootDirectory()), f"{package()}.jar")
    with zipfile.ZipFile(jar, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    spark.sparkContext._jsc.addJar(str(jar))
    return commons.util.reflect.ByteArrayClassLoader(classes, parent)
